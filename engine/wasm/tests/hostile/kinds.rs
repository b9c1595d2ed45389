//! The kinds of hostile guests: what each tries, and what comes of it.

use watchkeeper_core::proposal::FailureKind::{
    self, Deadline, HostCalls, Invalid, Memory, Result as TooMuch, Stack, Table, Trap,
};

use crate::core::{Core, LOOP, store};

/// Where a guest shows what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    Evaluate,
    Migrate,
    Start,
    Resume,
}

/// What comes of a guest.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expected {
    /// It is not loaded; one of these words, parted by `|`, is in the explanation.
    Refused(&'static str),
    /// The call fails in this way, with one of these words in the explanation.
    Fails(At, FailureKind, &'static str),
    /// It gains nothing: every evaluation in every instance gives just this state.
    Gains(&'static [u8]),
}

use At::{Evaluate, Migrate, Resume, Start};
use Expected::{Fails, Gains, Refused};

/// One kind.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) why: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) notifier: bool,
    pub(crate) expected: Expected,
}

fn policy(name: &'static str, why: &'static str, core: &Core, expected: Expected) -> Kind {
    Kind { name, why, bytes: core.policy(), notifier: false, expected }
}

fn notifier(name: &'static str, why: &'static str, core: &Core, expected: Expected) -> Kind {
    Kind { name, why, bytes: core.notifier(), notifier: true, expected }
}

fn raw(name: &'static str, why: &'static str, text: &str, expected: Expected) -> Kind {
    let bytes = wat::parse_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    Kind { name, why, bytes, notifier: false, expected }
}

/// Components within each other, an empty one at last. The text form cannot say so many.
fn nested(depth: usize) -> Vec<u8> {
    const HEAD: [u8; 8] = *b"\0asm\x0d\0\x01\0";
    const COMPONENT: u8 = 4;
    (0..depth).fold(HEAD.to_vec(), |inner, _| {
        let mut outer = HEAD.to_vec();
        outer.push(COMPONENT);
        let mut size = inner.len();
        while size >= 0x80 {
            outer.push(u8::try_from(size & 0x7f).unwrap() | 0x80);
            size >>= 7;
        }
        outer.push(u8::try_from(size).unwrap());
        outer.extend(inner);
        outer
    })
}

/// All of them.
pub(crate) fn all() -> Vec<Kind> {
    [
        time(),
        memory(),
        stack_and_tables(),
        texts(),
        shapes(),
        host_calls(),
        handles(),
        traps(),
        replays(),
        descriptions(),
        migrations(),
        components(),
        notifiers(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn post(export: &str, body: &str) -> String {
    format!(r#"(func (export "cabi_post_{export}") (param i32) {body})"#)
}

fn time() -> Vec<Kind> {
    let spin = "(loop $again
        (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000000))))";
    vec![
        policy("describe-loops", "loading never ends", &Core::describe(LOOP), Refused("in the time it has")),
        policy("evaluate-loops", "an evaluation never ends", &Core::evaluate(LOOP), Fails(Evaluate, Deadline, "time")),
        policy("migrate-loops", "a swap never ends", &Core::migrate(LOOP), Fails(Migrate, Deadline, "time")),
        policy(
            "start-loops",
            "instantiation never ends, before any export is called",
            &Core::fields(format!("(func $s {LOOP}) (start $s)")),
            Refused("in the time it has"),
        ),
        policy(
            "realloc-loops",
            "handing over the arguments never ends",
            &Core { realloc: format!("{LOOP} (i32.const 65536)"), ..Core::default() },
            Fails(Evaluate, Deadline, "time"),
        ),
        policy(
            "post-return-loops",
            "it answers, and never gives back the thread",
            &Core::fields(post("evaluate", LOOP)),
            Fails(Evaluate, Deadline, "time"),
        ),
        policy(
            "post-describe-loops",
            "it describes itself, and never gives back the thread",
            &Core::fields(post("describe", LOOP)),
            Refused("in the time it has"),
        ),
        policy(
            "fills-without-end",
            "each step is one long instruction of the engine's",
            &Core {
                pages: 512,
                ..Core::evaluate("(loop $again
                    (memory.fill (i32.const 131072) (i32.const 1) (i32.const 33000000)) (br $again))")
            },
            Fails(Evaluate, Deadline, "time"),
        ),
        policy("slow-but-legal", "a million steps are its right", &Core::evaluate(spin), Gains(b"")),
    ]
}

fn memory() -> Vec<Kind> {
    let grows =
        "(loop $again (br_if $again (i32.ge_s (memory.grow (i32.const 16)) (i32.const 0))))";
    vec![
        policy(
            "memory-grows",
            "it takes memory until there is none",
            &Core::evaluate(grows),
            Fails(Evaluate, Memory, "bytes of memory"),
        ),
        policy(
            "describe-grows",
            "the same while it is loaded",
            &Core::describe(grows),
            Refused("bytes of memory"),
        ),
        policy(
            "migrate-grows",
            "the same in a swap",
            &Core::migrate(grows),
            Fails(Migrate, Memory, "bytes of memory"),
        ),
        policy(
            "memory-declared",
            "it asks for 4 GiB before it runs",
            &Core { pages: 65536, ..Core::default() },
            Refused("memory"),
        ),
        policy(
            "many-memories",
            "small memories, but fifty of them",
            &Core::fields("(memory 1)".repeat(50)),
            Refused("memor"),
        ),
        policy(
            "data-beyond-memory",
            "its data lies outside of its memory",
            &Core::fields("(data (i32.const 131070) \"beyond\")"),
            Refused("out of bounds"),
        ),
        policy(
            "reads-beyond-memory",
            "it looks for what is not its own",
            &Core::evaluate("(drop (i32.load (i32.const 0x7ffffff0)))"),
            Fails(Evaluate, Trap, "out of bounds memory"),
        ),
    ]
}

fn stack_and_tables() -> Vec<Kind> {
    vec![
        policy(
            "recursion",
            "it calls itself without end",
            &Core::evaluate("(drop (call $nest (i64.const 1)))")
                .and("(func $nest (param i64) (result i64) (i64.add (i64.const 1) (call $nest (local.get 0))))"),
            Fails(Evaluate, Stack, "bytes of stack"),
        ),
        policy(
            "recursion-by-table",
            "the same through a table",
            &Core::evaluate("(drop (call $nest (i64.const 1)))").and(
                "(type $t (func (param i64) (result i64))) (table 1 funcref) (elem (i32.const 0) $nest)
                (func $nest (type $t)
                  (i64.add (i64.const 1) (call_indirect (type $t) (local.get 0) (i32.const 0))))",
            ),
            Fails(Evaluate, Stack, "bytes of stack"),
        ),
        policy(
            "table-grows",
            "it takes tables until there are none",
            &Core::evaluate(
                "(loop $again (br_if $again (i32.ge_s (table.grow $t (ref.null func) (i32.const 1000)) (i32.const 0))))",
            )
            .and("(table $t 1 funcref)"),
            Fails(Evaluate, Table, "tables of"),
        ),
        policy("table-declared", "it asks for a table of a hundred million", &Core::fields("(table 100000000 funcref)"), Refused("table")),
        policy("many-tables", "small tables, but fifty of them", &Core::fields("(table 1 funcref)".repeat(50)), Refused("table")),
    ]
}

/// The body that stores one note of this place and length.
fn note(at: u32, length: u32) -> String {
    store(256, &[at, length]) + &store(184, &[256, 1])
}

fn texts() -> Vec<Kind> {
    let bad = |bytes: &str| {
        Core::evaluate(&note(2048, 4)).and(&format!("(data (i32.const 2048) \"{bytes}\")"))
    };
    let bomb = format!(
        "(loop $again
            (i32.store (i32.add (i32.const 4096) (i32.shl (local.get $i) (i32.const 3))) (i32.const 2048))
            (i32.store (i32.add (i32.const 4100) (i32.shl (local.get $i) (i32.const 3))) (i32.const 20000))
            (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 200))))
        {}",
        store(184, &[4096, 200])
    );
    vec![
        policy(
            "text-beyond-memory",
            "a note of 2 GiB",
            &Core::evaluate(&note(0, 0x7fff_ffff)),
            Fails(Evaluate, Invalid, "out of bounds"),
        ),
        policy(
            "text-over-limit",
            "a note of 64 KB",
            &Core::evaluate(&note(2048, 60_000)),
            Fails(Evaluate, TooMuch, "a note has 60000 bytes"),
        ),
        policy(
            "text-bomb",
            "200 notes that are all the same 20 KB",
            &Core::evaluate(&bomb),
            Fails(Evaluate, TooMuch, "handed over more than"),
        ),
        policy(
            "text-not-utf8",
            "a note that is no text",
            &bad("\\ff\\fe\\fd\\fc"),
            Fails(Evaluate, Invalid, "utf-8"),
        ),
        policy(
            "text-surrogate",
            "half a character of another encoding",
            &bad("\\ed\\a0\\80a"),
            Fails(Evaluate, Invalid, "utf-8"),
        ),
        policy(
            "text-overlong",
            "a slash in disguise",
            &bad("\\c0\\afab"),
            Fails(Evaluate, Invalid, "utf-8"),
        ),
        policy(
            "list-beyond-memory",
            "two thousand million notes",
            &Core::evaluate(&store(184, &[4096, 0x7fff_ffff])),
            Fails(Evaluate, Invalid, "out of bounds"),
        ),
        policy(
            "list-over-limit",
            "3,000 empty notes",
            &Core::evaluate(&store(184, &[4096, 3_000])),
            Fails(Evaluate, TooMuch, "3000 notes"),
        ),
        policy(
            "alerts-over-limit",
            "300 alerts",
            &Core::evaluate(&store(152, &[4096, 300])),
            Fails(Evaluate, TooMuch, "300 alerts"),
        ),
        policy(
            "state-over-limit",
            "a state of 300 KB",
            &Core { pages: 8, ..Core::evaluate(&store(160, &[1024, 300_000])) },
            Fails(Evaluate, TooMuch, "its state has 300000 bytes"),
        ),
        policy(
            "list-unaligned",
            "a list at an odd address",
            &Core::evaluate(&store(184, &[4097, 1])),
            Fails(Evaluate, Invalid, "aligned"),
        ),
    ]
}

fn shapes() -> Vec<Kind> {
    let answers = |at: &str| Core {
        evaluate: format!("(call $drop (local.get $snapshot)) (i32.const {at})"),
        ..Core::default()
    };
    let gives = |place: &str| Core { realloc: place.to_owned(), ..Core::default() };
    vec![
        policy(
            "result-beyond-memory",
            "its answer lies outside of its memory",
            &answers("0x7fffff00"),
            Fails(Evaluate, Invalid, "out of bounds"),
        ),
        policy(
            "result-unaligned",
            "its answer lies at an odd address",
            &answers("129"),
            Fails(Evaluate, Invalid, "aligned"),
        ),
        policy(
            "result-of-no-kind",
            "neither an answer nor an error",
            &Core::evaluate(&store(128, &[7])),
            Fails(Evaluate, Invalid, "discriminant"),
        ),
        policy(
            "action-of-no-kind",
            "an action that the contract does not have",
            &Core::evaluate(&(store(136, &[4096, 1]) + &store(4096, &[9]))),
            Fails(Evaluate, Invalid, "discriminant"),
        ),
        policy(
            "needs-nothing-takes-all",
            "a failover that it never asked for",
            &Core::evaluate(&(store(136, &[4096, 1]) + &store(4096, &[2]))),
            Fails(Evaluate, Invalid, "failover"),
        ),
        policy(
            "arguments-beyond-memory",
            "it wants its arguments written elsewhere",
            &gives("(i32.const 0x7ffffff0)"),
            Fails(Evaluate, Invalid, "beyond end of memory|out of bounds"),
        ),
        policy(
            "arguments-unaligned",
            "it wants its arguments at an odd address",
            &gives("(i32.const 65537)"),
            Fails(Evaluate, Invalid, "aligned"),
        ),
    ]
}

fn host_calls() -> Vec<Kind> {
    let again = |what: &str| format!("(loop $again {what} (br $again))");
    let lines = "(loop $again (call $log (i32.const 1) (i32.const 1024) (i32.const 3))
        (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 15000))))";
    let inside = Core {
        realloc: "(if (global.get $inside) (then (call $log (i32.const 1) (i32.const 1024) (i32.const 3))))
            (i32.const 65536)"
            .to_owned(),
        ..Core::evaluate("(global.set $inside (i32.const 1)) (call $servers (local.get $snapshot) (i32.const 2048))")
    };
    let one_line = |level: u32, at: u32, length: u32| {
        format!("(call $log (i32.const {level}) (i32.const {at}) (i32.const {length}))")
    };
    vec![
        policy(
            "asks-without-end",
            "the same question again and again",
            &Core::evaluate(&again("(drop (call $number (local.get $snapshot)))")),
            Fails(Evaluate, HostCalls, "more than 20000 times"),
        ),
        policy(
            "logs-without-end",
            "lines until the disk is full",
            &Core::evaluate(&again(&one_line(1, 1024, 3))),
            Fails(Evaluate, HostCalls, "more than 20000 times"),
        ),
        policy(
            "migrate-logs-without-end",
            "the same in a swap",
            &Core::migrate(&again(&one_line(1, 1024, 3))),
            Fails(Migrate, HostCalls, "more than 20000 times"),
        ),
        policy(
            "logs-a-lot",
            "15,000 lines: kept are a hundred",
            &Core::evaluate(lines),
            Gains(b""),
        ),
        policy(
            "logs-a-giant",
            "a line of 2 MB",
            &Core { pages: 64, ..Core::evaluate(&one_line(1, 131_072, 2_000_000)) },
            Fails(Evaluate, TooMuch, "handed over more than"),
        ),
        policy(
            "logs-beyond-memory",
            "a line that is not its own",
            &Core::evaluate(&one_line(1, 0, 0x7fff_ffff)),
            Fails(Evaluate, Invalid, "out of bounds"),
        ),
        policy(
            "logs-no-text",
            "a line that is no text",
            &Core::evaluate(&one_line(1, 2048, 1)).and("(data (i32.const 2048) \"\\ff\")"),
            Fails(Evaluate, Invalid, "utf-8"),
        ),
        policy(
            "logs-at-no-level",
            "a level that the contract does not have",
            &Core::evaluate(&one_line(9, 1024, 3)),
            Fails(Evaluate, Invalid, "discriminant"),
        ),
        policy(
            "calls-within-a-call",
            "it calls the host while the host hands over an answer",
            &inside.and("(global $inside (mut i32) (i32.const 0))"),
            Fails(Evaluate, Trap, "leave component instance"),
        ),
        policy(
            "answer-over-memory",
            "an answer is to be written outside of its memory",
            &Core::evaluate("(call $servers (local.get $snapshot) (i32.const 0x7ffffff0))"),
            Fails(Evaluate, Invalid, "out of bounds"),
        ),
        policy(
            "giant-name",
            "a server by a name of 60 KB",
            &Core::evaluate(
                "(call $server (local.get $snapshot) (i32.const 2048) (i32.const 60000) (i32.const 128)) (i64.store (i32.const 128) (i64.const 0))",
            ),
            Gains(b""),
        ),
    ]
}

fn handles() -> Vec<Kind> {
    let drop = "(call $drop (local.get $snapshot))";
    let ask = "(drop (call $number (local.get $snapshot)))";
    vec![
        policy(
            "use-after-drop",
            "it asks a snapshot that it gave back",
            &Core::evaluate(&format!("{drop} {ask} ")),
            Fails(Evaluate, Invalid, "handle"),
        ),
        policy(
            "dropped-twice",
            "it gives back a snapshot twice",
            &Core::evaluate(drop),
            Fails(Evaluate, Invalid, "handle"),
        ),
        policy(
            "kept-handle",
            "it does not give the snapshot back",
            &Core { evaluate: "(i32.const 128)".to_owned(), ..Core::default() },
            Fails(Evaluate, Invalid, "borrow"),
        ),
        policy(
            "forged-handle",
            "it asks a snapshot of a number that it made up",
            &Core::evaluate("(drop (call $number (i32.const 77)))"),
            Fails(Evaluate, Invalid, "handle"),
        ),
        policy(
            "giant-handle",
            "the largest number there is",
            &Core::evaluate("(drop (call $number (i32.const -1)))"),
            Fails(Evaluate, Invalid, "handle"),
        ),
        policy(
            "snapshot-in-describe",
            "it asks before there is anything to ask",
            &Core::describe("(drop (call $number (i32.const 1)))"),
            Refused("handle"),
        ),
        policy(
            "snapshot-in-migrate",
            "it asks where there is nothing to ask",
            &Core::migrate("(drop (call $number (i32.const 1)))"),
            Fails(Migrate, Invalid, "handle"),
        ),
    ]
}

fn traps() -> Vec<Kind> {
    vec![
        policy(
            "traps",
            "it gives up",
            &Core::evaluate("(unreachable)"),
            Fails(Evaluate, Trap, "unreachable"),
        ),
        policy(
            "divides-by-zero",
            "it cannot count",
            &Core::evaluate("(drop (i32.div_u (i32.const 1) (local.get $i)))"),
            Fails(Evaluate, Trap, "divide by zero"),
        ),
        policy(
            "calls-nothing",
            "it calls an empty place of a table",
            &Core::evaluate("(call_indirect (i32.const 0))").and("(table 1 funcref)"),
            Fails(Evaluate, Trap, "uninitialized element"),
        ),
        policy(
            "describe-traps",
            "it does not know who it is",
            &Core::describe("(unreachable)"),
            Refused("unreachable"),
        ),
        policy(
            "migrate-traps",
            "it cannot bear its own past",
            &Core::migrate("(unreachable)"),
            Fails(Migrate, Trap, "unreachable"),
        ),
        policy(
            "start-traps",
            "it ends before it begins",
            &Core::fields("(func $s unreachable) (start $s)"),
            Refused("unreachable"),
        ),
        policy(
            "realloc-traps",
            "it cannot take its arguments",
            &Core { realloc: "(unreachable)".to_owned(), ..Core::default() },
            Fails(Evaluate, Trap, "unreachable"),
        ),
        policy(
            "post-return-traps",
            "it answers, and ends while it tidies up",
            &Core::fields(post("evaluate", "(unreachable)")),
            Fails(Evaluate, Trap, "unreachable"),
        ),
        policy(
            "post-return-calls",
            "it calls the host while it tidies up",
            &Core::fields(post(
                "evaluate",
                "(call $log (i32.const 1) (i32.const 1024) (i32.const 3))",
            )),
            Fails(Evaluate, Trap, "leave component instance"),
        ),
    ]
}

fn replays() -> Vec<Kind> {
    // The state of the answer is the eight bytes at 512.
    let told = |value: &str| {
        Core::evaluate(&format!("(i64.store (i32.const 512) {value}) {}", store(160, &[512, 8])))
    };
    vec![
        policy(
            "remembers",
            "a counter in a global, from call to call",
            &told("(global.get $n) (global.set $n (i64.add (global.get $n) (i64.const 1)))")
                .and("(global $n (mut i64) (i64.const 0))"),
            Gains(&[0; 8]),
        ),
        policy(
            "remembers-in-memory",
            "a counter in its memory, from call to call",
            &told("(i64.add (i64.load (i32.const 512)) (i64.const 1))"),
            Gains(&[1, 0, 0, 0, 0, 0, 0, 0]),
        ),
        policy(
            "reads-old-memory",
            "what another left in the memory that it gets",
            &told("(i64.load (i32.const 120000))"),
            Gains(&[0; 8]),
        ),
        policy(
            "pointers-as-chance",
            "the address at which it gets its arguments",
            &told("(i64.extend_i32_u (global.get $top))"),
            Gains(&[0x16, 0, 1, 0, 0, 0, 0, 0]),
        ),
        policy(
            "nan-as-chance",
            "the bits of what is no number",
            &told("(i64.reinterpret_f64 (f64.div (f64.const 0) (f64.const 0)))"),
            Gains(&[0, 0, 0, 0, 0, 0, 0xf8, 0x7f]),
        ),
        policy(
            "handles-as-chance",
            "the number of the snapshot's handle",
            &told("(i64.extend_i32_u (local.get $snapshot))"),
            Gains(&[1, 0, 0, 0, 0, 0, 0, 0]),
        ),
        policy(
            "describe-changes",
            "another permission each time it is asked who it is",
            &Core::describe(
                "(i32.store (i32.const 40) (global.get $n)) (global.set $n (i32.const 31))",
            )
            .and("(global $n (mut i32) (i32.const 0))"),
            Gains(b""),
        ),
    ]
}

fn descriptions() -> Vec<Kind> {
    let says = |at: u32, words: &[u32]| Core::describe(&store(at, words));
    vec![
        policy(
            "settings-over-limit",
            "300 settings",
            &says(44, &[4096, 300]),
            Refused("more than 256 settings"),
        ),
        policy(
            "settings-giant",
            "a schema of 100,000 settings",
            &Core { pages: 100, ..says(44, &[4096, 100_000]) },
            Refused("handed over more than"),
        ),
        policy(
            "settings-alike",
            "two settings of one name, which is none",
            &says(44, &[4096, 2]),
            Refused("settings that cannot work"),
        ),
        policy(
            "settings-of-no-kind",
            "a setting that the contract does not have",
            &Core::describe(&(store(44, &[4096, 1]) + &store(4112, &[99]))),
            Refused("discriminant"),
        ),
        policy("name-giant", "a name of 60 KB", &says(16, &[2048, 60_000]), Refused("kebab")),
        policy(
            "name-beyond-memory",
            "a name of 2 GiB",
            &says(16, &[0, 0x7fff_ffff]),
            Refused("out of bounds"),
        ),
        policy(
            "name-not-utf8",
            "a name that is no text",
            &says(16, &[2048, 1]).and("(data (i32.const 2048) \"\\ff\")"),
            Refused("utf-8"),
        ),
        policy(
            "name-of-a-path",
            "a name that leads out of a folder",
            &says(16, &[2048, 8]).and("(data (i32.const 2048) \"../../ab\")"),
            Refused("kebab"),
        ),
        policy(
            "version-of-lines",
            "a version that begins a line of its own",
            &says(24, &[2048, 3]).and("(data (i32.const 2048) \"1\\0a2\")"),
            Refused("one word"),
        ),
    ]
}

fn migrations() -> Vec<Kind> {
    vec![
        policy(
            "migrate-lies",
            "a state of 300 KB",
            &Core { pages: 8, ..Core::migrate(&store(132, &[1024, 300_000])) },
            Fails(Migrate, TooMuch, "300000 bytes"),
        ),
        policy(
            "migrate-beyond-memory",
            "a state that is not its own",
            &Core::migrate(&store(132, &[0, 0x7fff_ffff])),
            Fails(Migrate, Invalid, "out of bounds"),
        ),
        policy(
            "migrate-of-no-kind",
            "neither a state nor an error",
            &Core::migrate(&store(128, &[7])),
            Fails(Migrate, Invalid, "discriminant"),
        ),
        policy(
            "migrate-refuses-not-utf8",
            "a reason that is no text",
            &Core::migrate(&store(128, &[1, 2048, 1])).and("(data (i32.const 2048) \"\\ff\")"),
            Fails(Migrate, Invalid, "utf-8"),
        ),
    ]
}

fn components() -> Vec<Kind> {
    let many = |count: usize, what: &str| what.repeat(count);
    let lists = (1..200).fold("(component (type $t0 (list u8))".to_owned(), |text, i| {
        format!("{text} (type $t{i} (list $t{}))", i - 1)
    }) + ")";
    let instances =
        format!("(component (core module $m) {})", many(200, "(core instance (instantiate $m))"));
    vec![
        policy(
            "thousands-of-functions",
            "5,000 functions: its right",
            &Core::fields(many(5_000, "(func (param i32) (result i32) (local.get 0))")),
            Gains(b""),
        ),
        policy(
            "thousands-of-types",
            "distinct function types by the thousand: its right",
            &Core::fields(
                (0..2_000)
                    .flat_map(|i| {
                        let parameters = "(param i64)".repeat(i % 200);
                        ["(type (func ".to_owned(), parameters, "))".to_owned()]
                    })
                    .collect::<String>(),
            ),
            Gains(b""),
        ),
        policy(
            "locals-by-the-million",
            "a function with a million variables",
            &Core::fields(format!("(func (local {}))", many(1_000_000, "i64 "))),
            Refused("damaged, or asks for more"),
        ),
        Kind {
            name: "nested-components",
            why: "2,000 components within components",
            bytes: nested(2_000),
            notifier: false,
            expected: Refused("does not export|damaged"),
        },
        raw("nested-lists", "lists of lists of lists", &lists, Refused("does not export|damaged")),
        raw("many-instances", "200 core instances", &instances, Refused("does not export|damaged")),
        raw(
            "start-of-a-component",
            "it imports a function of the world at its root",
            "(component (import \"run\" (func)))",
            Refused("imports run"),
        ),
        raw(
            "shared-memory",
            "memory that threads share",
            "(component (core module (memory 1 2 shared)))",
            Refused("damaged|does not export"),
        ),
        raw(
            "wide-memory",
            "a memory of 64 bits",
            "(component (core module (memory i64 1)))",
            Refused("damaged"),
        ),
    ]
}

fn notifiers() -> Vec<Kind> {
    let grows =
        "(loop $again (br_if $again (i32.ge_s (memory.grow (i32.const 16)) (i32.const 0))))";
    let flood =
        "(loop $again (call $log (i32.const 1) (i32.const 1024) (i32.const 3)) (br $again))";
    let nest =
        "(func $nest (param i64) (result i64) (i64.add (i64.const 1) (call $nest (local.get 0))))";
    vec![
        notifier(
            "notifier-describe-loops",
            "loading never ends",
            &Core::describe(LOOP),
            Refused("in the time it has"),
        ),
        notifier(
            "notifier-start-loops",
            "a delivery never begins",
            &Core::start(LOOP),
            Fails(Start, Deadline, "time"),
        ),
        notifier(
            "notifier-resume-loops",
            "a delivery never ends",
            &Core::resume(LOOP),
            Fails(Resume, Deadline, "time"),
        ),
        notifier(
            "notifier-post-loops",
            "it answers, and never gives back the thread",
            &Core::fields(post("start", LOOP)),
            Fails(Start, Deadline, "time"),
        ),
        notifier(
            "notifier-grows",
            "it takes memory until there is none",
            &Core::start(grows),
            Fails(Start, Memory, "bytes of memory"),
        ),
        notifier(
            "notifier-nests",
            "it calls itself without end",
            &Core::resume("(drop (call $nest (i64.const 1)))").and(nest),
            Fails(Resume, Stack, "bytes of stack"),
        ),
        notifier(
            "notifier-logs",
            "lines until the disk is full",
            &Core::start(flood),
            Fails(Start, HostCalls, "more than 20000 times"),
        ),
        notifier(
            "notifier-traps",
            "it gives up",
            &Core::resume("(unreachable)"),
            Fails(Resume, Trap, "unreachable"),
        ),
        notifier(
            "notifier-of-no-kind",
            "neither of what a notifier may say",
            &Core {
                start: "(i32.store8 (i32.const 136) (i32.const 9)) (i32.const 128)".to_owned(),
                ..Core::default()
            },
            Fails(Start, Invalid, "discriminant"),
        ),
        notifier(
            "notifier-sends-a-giant",
            "a request with a body of 2 MB",
            &Core {
                pages: 64,
                start: format!(
                    "{} (i32.const 128)",
                    store(136, &[0]) + &store(168, &[131_072, 2_000_000])
                ),
                ..Core::default()
            },
            Fails(Start, TooMuch, "handed over more than"),
        ),
        notifier(
            "notifier-sends-no-text",
            "a place to send to that is no text",
            &Core {
                start: format!("{} (i32.const 128)", store(136, &[0]) + &store(152, &[2048, 1])),
                ..Core::default()
            }
            .and("(data (i32.const 2048) \"\\ff\")"),
            Fails(Start, Invalid, "utf-8"),
        ),
    ]
}
