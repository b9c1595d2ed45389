//! What a key says, by its words. The names of keys differ between releases of Data Mover, so no
//! list of them would be complete; their words are few. `primary.daemon.host`, `PrimaryDaemonHost`
//! and `PRIMARY_DAEMON_HOST` say the same.

use watchkeeper_core::model::Side;

/// What a key is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// Data Mover's daemon.
    Daemon,
    /// PostgreSQL with the job definitions.
    Repository,
    /// The JMS broker.
    Activemq,
    /// Agents.
    Agent,
    /// The HTTPS interface.
    Rest,
    /// The synchronisation of the repositories.
    Sync,
    /// The backup and restore engine.
    Dsa,
    /// A server that monitors.
    Monitor,
    /// Logging in.
    Ssh,
}

impl Part {
    /// In a sentence.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Daemon => "the daemon",
            Self::Repository => "the repository",
            Self::Activemq => "ActiveMQ",
            Self::Agent => "agents",
            Self::Rest => "REST",
            Self::Sync => "the synchronisation",
            Self::Dsa => "DSA",
            Self::Monitor => "the monitor",
            Self::Ssh => "SSH",
        }
    }
}

/// What of it the value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Aspect {
    /// Host names or addresses.
    Host,
    /// An address with a scheme.
    Url,
    /// The database's name.
    Database,
    /// A user's name.
    User,
    /// A port.
    Port,
    /// From which replication lag on the vendor's monitor tells of it.
    Lag,
}

/// What keys are about that Watchkeeper has no use for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    /// How often, how long, how many times.
    Timing,
    /// Who is told, and how.
    Telling,
    /// Folders, logs, versions.
    Surroundings,
    /// Whether something is on.
    Switch,
}

/// A word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Side(Side),
    /// A side seen from somewhere.
    Relative(Side),
    Part(Part),
    Aspect(Aspect),
    /// The repository, or its database's name.
    Database,
    Name,
    Secret,
    Topic(Topic),
    /// It says nothing.
    Filler,
}

/// Every word, in lower case; a plural `s` may follow each.
const WORDS: &[(Word, &[&str])] = &[
    (Word::Side(Side::Primary), &["primary", "master", "active"]),
    (Word::Side(Side::Secondary), &["secondary", "slave", "standby"]),
    (Word::Relative(Side::Primary), &["local"]),
    (Word::Relative(Side::Secondary), &["remote"]),
    (Word::Part(Part::Daemon), &["daemon", "dmdaemon", "tdmdaemon"]),
    (Word::Part(Part::Repository), &["repository", "repositorie", "repo", "repos"]),
    (Word::Part(Part::Repository), &["postgres", "postgresql", "pgsql", "pg"]),
    (Word::Part(Part::Activemq), &["activemq", "tdactivemq", "amq", "mq", "jms", "broker"]),
    (Word::Part(Part::Agent), &["agent", "dmagent", "tdmagent"]),
    (Word::Part(Part::Rest), &["rest", "restful", "restapi", "tdmrest", "dmrest"]),
    (Word::Part(Part::Sync), &["sync", "dmsync", "synchronization", "synchronisation"]),
    (Word::Part(Part::Sync), &["replication"]),
    (Word::Part(Part::Dsa), &["dsa", "dsc", "dsmain", "bar"]),
    (Word::Part(Part::Monitor), &["monitor", "monitoring", "vp", "viewpoint", "vantagepoint"]),
    (Word::Part(Part::Ssh), &["ssh", "os"]),
    (Word::Aspect(Aspect::Host), &["host", "hostname", "hostlist", "server", "node", "machine"]),
    (Word::Aspect(Aspect::Host), &["address", "addresse", "addr", "ip", "ipaddress", "fqdn"]),
    (Word::Aspect(Aspect::Port), &["port"]),
    (Word::Aspect(Aspect::User), &["user", "username", "userid", "login", "account", "dmuser"]),
    (Word::Aspect(Aspect::Url), &["url", "uri", "endpoint"]),
    (Word::Aspect(Aspect::Lag), &["lag", "lagging"]),
    (Word::Database, &["database", "db"]),
    (Word::Name, &["name"]),
    (Word::Secret, &["password", "passwd", "pwd", "pass", "passphrase", "pw", "secret"]),
    (Word::Secret, &["token", "credential", "cred", "key", "apikey", "keytab", "keystore"]),
    (Word::Topic(Topic::Timing), &["interval", "frequency", "period", "poll", "polling"]),
    (Word::Topic(Topic::Timing), &["delay", "wait", "timeout", "retry", "retrie", "attempt"]),
    (Word::Topic(Topic::Timing), &["count", "max", "min", "rescue", "threshold", "second"]),
    (Word::Topic(Topic::Timing), &["minute", "ms", "sleep"]),
    (Word::Topic(Topic::Telling), &["mail", "email", "smtp", "alert", "tvi", "snmp", "trap"]),
    (Word::Topic(Topic::Telling), &["notify", "notification", "servermanagement"]),
    (Word::Topic(Topic::Surroundings), &["log", "logging", "level", "loglevel", "logfile"]),
    (Word::Topic(Topic::Surroundings), &["dir", "directory", "path", "home", "file", "folder"]),
    (Word::Topic(Topic::Surroundings), &["java", "jar", "version", "release", "install"]),
    (Word::Topic(Topic::Switch), &["enable", "enabled", "auto", "automatic", "ismaster"]),
    (Word::Topic(Topic::Switch), &["mode", "ssl", "tls"]),
    (Word::Filler, &["dm", "tdm", "td", "datamover", "data", "mover", "teradata", "ha"]),
    (Word::Filler, &["failover", "cluster", "config", "configuration", "service", "list"]),
    (Word::Filler, &["component", "designated", "original", "default", "all", "additional"]),
    (Word::Filler, &["the", "of", "for", "message", "http", "https", "process"]),
];

/// Words from this length on are found in what is written without separators.
const TELLING: usize = 4;

/// The longest run of letters that is taken apart.
const MAX_RUN: usize = 64;

/// What a key says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Meaning {
    /// The sides that it names: none, one, or in a muddle both.
    pub(super) sides: Vec<Side>,
    /// The word for the side is `local` or `remote`.
    pub(super) relative: bool,
    /// What it is about, each once.
    pub(super) parts: Vec<Part>,
    /// What of it the value is.
    pub(super) aspect: Option<Aspect>,
    /// A number in it, as in `agent.1.host`.
    pub(super) number: Option<u32>,
    /// What it is about that nothing is made of.
    pub(super) topic: Option<Topic>,
    /// Its value may be a password or the like.
    pub(super) secret: bool,
    /// How many of its words are not known.
    pub(super) unknown: usize,
    /// How many of its words are known and say something.
    pub(super) known: usize,
}

impl Meaning {
    /// Reads a key.
    pub(super) fn of(key: &str) -> Self {
        let mut meaning = Self::default();
        let (mut database, mut name) = (false, false);
        for token in tokens(key) {
            if let Ok(number) = token.parse() {
                meaning.number = Some(number);
                continue;
            }
            let Some(word) = lookup(&token) else {
                meaning.unknown += 1;
                meaning.secret |= hides(&token);
                continue;
            };
            meaning.known += usize::from(word != Word::Filler);
            match word {
                Word::Side(side) => add(&mut meaning.sides, side),
                Word::Relative(side) => {
                    add(&mut meaning.sides, side);
                    meaning.relative = true;
                }
                Word::Part(part) => add(&mut meaning.parts, part),
                // The more telling word counts: of `server.port` it is the port.
                Word::Aspect(aspect) => meaning.aspect = meaning.aspect.max(Some(aspect)),
                Word::Database => database = true,
                Word::Name => name = true,
                Word::Secret => meaning.secret = true,
                Word::Topic(topic) => meaning.topic = Some(topic),
                Word::Filler => {}
            }
        }
        meaning.settle(database, name);
        meaning
    }

    /// What follows from words together.
    fn settle(&mut self, database: bool, name: bool) {
        if database {
            add(&mut self.parts, Part::Repository);
        }
        if self.aspect.is_none() && (database || (name && self.parts == [Part::Repository])) {
            self.aspect = Some(Aspect::Database);
        } else if name && self.aspect.is_none() {
            self.unknown += 1;
        }
        if self.parts == [Part::Sync, Part::Monitor] || self.parts == [Part::Monitor, Part::Sync] {
            self.parts = vec![Part::Sync];
        }
        // A threshold of the lag is the lag's, not a time.
        if self.aspect == Some(Aspect::Lag) && self.topic == Some(Topic::Timing) {
            self.topic = None;
        }
    }
}

fn add<T: PartialEq>(list: &mut Vec<T>, one: T) {
    if !list.contains(&one) {
        list.push(one);
    }
}

/// Whether a word that is not known has a word for a secret in it.
fn hides(token: &str) -> bool {
    ["pass", "pwd", "secret", "token", "cred"].iter().any(|part| token.contains(part))
}

fn lookup(token: &str) -> Option<Word> {
    let exact =
        |token: &str| WORDS.iter().find(|(_, words)| words.contains(&token)).map(|(word, _)| *word);
    exact(token).or_else(|| exact(token.strip_suffix('s')?))
}

/// The words of a key in lower case, and its numbers.
fn tokens(key: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    for piece in key.split(|c: char| !c.is_alphanumeric()) {
        for run in runs(piece) {
            let lower = run.to_lowercase();
            if lookup(&lower).is_some() || lower.starts_with(|c: char| c.is_ascii_digit()) {
                tokens.push(lower);
            } else if let Some(parts) = apart(&lower) {
                tokens.extend(parts.into_iter().map(str::to_owned));
            } else {
                tokens.extend(humps(run).map(str::to_lowercase));
            }
        }
    }
    join(tokens)
}

/// Neighbours that are one word together, such as `active` and `mq`.
fn join(tokens: Vec<String>) -> Vec<String> {
    let mut joined: Vec<String> = Vec::with_capacity(tokens.len());
    for token in tokens {
        if let Some(last) = joined.last_mut()
            && lookup(&format!("{last}{token}")).is_some()
        {
            last.push_str(&token);
        } else {
            joined.push(token);
        }
    }
    joined
}

/// Letters and digits apart.
fn runs(piece: &str) -> impl Iterator<Item = &str> {
    split_between(piece, |before, after, _| before.is_ascii_digit() != after.is_ascii_digit())
}

/// The parts of `primaryDaemonHost` or `RESTHost`.
fn humps(run: &str) -> impl Iterator<Item = &str> {
    split_between(run, |before, after, then| {
        after.is_uppercase() && (before.is_lowercase() || then.is_some_and(char::is_lowercase))
    })
}

fn split_between(
    text: &str,
    parts: impl Fn(char, char, Option<char>) -> bool,
) -> impl Iterator<Item = &str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    loop {
        let cut = rest.char_indices().zip(rest.char_indices().skip(1)).find_map(
            |((_, before), (at, after))| {
                let then = rest.get(at..)?.chars().nth(1);
                parts(before, after, then).then_some(at)
            },
        );
        let Some((piece, more)) = cut.and_then(|at| rest.split_at_checked(at)) else { break };
        pieces.push(piece);
        rest = more;
    }
    pieces.push(rest);
    pieces.into_iter().filter(|piece| !piece.is_empty())
}

/// The known words that `run` consists of, if it consists of such words only.
fn apart(run: &str) -> Option<Vec<&str>> {
    if run.len() > MAX_RUN || !run.is_ascii() {
        return None;
    }
    // For each place, from the end: the words from there on. Each place is looked at once.
    let mut from: Vec<Option<Vec<&str>>> = vec![None; run.len() + 1];
    *from.last_mut()? = Some(Vec::new());
    for start in (0..run.len()).rev() {
        let found = (start + TELLING..=run.len()).rev().find_map(|end| {
            let word = run.get(start..end).filter(|word| lookup(word).is_some())?;
            let after = from.get(end)?.as_ref()?;
            Some(std::iter::once(word).chain(after.iter().copied()).collect())
        });
        *from.get_mut(start)? = found;
    }
    from.into_iter().next()?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_separators_do_not_matter() {
        let wanted = Meaning::of("primary.daemon.host");
        assert_eq!(wanted.sides, [Side::Primary]);
        assert_eq!(wanted.parts, [Part::Daemon]);
        assert_eq!((wanted.aspect, wanted.unknown), (Some(Aspect::Host), 0));
        for key in [
            "PRIMARY_DAEMON_HOST",
            "primary-daemon-host",
            "Primary Daemon Host",
            "primaryDaemonHost",
            "PrimaryDaemonHOST",
            "primarydaemonhost",
            "PRIMARYDAEMONHOST",
            "primary..daemon/host",
        ] {
            assert_eq!(Meaning::of(key), wanted, "{key}");
        }
    }

    #[test]
    fn each_word_is_found_however_it_is_written() {
        let part = |key: &str| Meaning::of(key).parts;
        for key in ["active.mq.port", "ActiveMQPort", "activemq_port", "jms.broker.port"] {
            assert_eq!(part(key), [Part::Activemq], "{key}");
            assert_eq!(Meaning::of(key).sides, [], "{key}");
        }
        assert_eq!(Meaning::of("active.activemq.host").sides, [Side::Primary]);
        for key in ["vp1.host", "view.point.1", "vantagePoint1Host", "monitor.1.host"] {
            let meaning = Meaning::of(key);
            assert_eq!((&meaning.parts[..], meaning.number), (&[Part::Monitor][..], Some(1)));
        }
        assert_eq!(part("secondary.sync.monitor.host"), [Part::Sync]);
        assert_eq!(part("local.agents.hosts"), [Part::Agent]);
        assert_eq!(part("additional.agent.addresses"), [Part::Agent]);
        assert_eq!(part("RESTHost"), [Part::Rest]);
        assert_eq!(part("monitor.repository.host"), [Part::Monitor, Part::Repository]);
        assert!(Meaning::of("local.daemon.host").relative);
    }

    #[test]
    fn the_more_telling_aspect_counts() {
        let aspect = |key: &str| Meaning::of(key).aspect;
        assert_eq!(aspect("rest.server.port"), Some(Aspect::Port));
        assert_eq!(aspect("daemon.host.name"), Some(Aspect::Host));
        assert_eq!(aspect("repository.name"), Some(Aspect::Database));
        assert_eq!(aspect("repository.database"), Some(Aspect::Database));
        assert_eq!(aspect("database.host"), Some(Aspect::Host));
        assert_eq!(aspect("repository.user.name"), Some(Aspect::User));
        let lag = Meaning::of("sync.data.lagging.threshold");
        assert_eq!((lag.aspect, lag.topic, lag.unknown), (Some(Aspect::Lag), None, 0));
        assert_eq!(Meaning::of("agent.name").unknown, 1);
    }

    #[test]
    fn what_may_be_a_secret_is_one() {
        for key in ["dmuser.password", "dbPasswd", "repository.pwd", "jmspassword", "ssh.key"] {
            assert!(Meaning::of(key).secret, "{key}");
        }
        assert!(Meaning::of("repository.xpassw0rd").secret);
        assert!(!Meaning::of("primary.daemon.host").secret);
    }

    #[test]
    fn what_is_not_known_is_counted() {
        let meaning = Meaning::of("primary.daemon.frobnicator");
        assert_eq!((meaning.unknown, meaning.known), (1, 2));
        let meaning = Meaning::of("");
        assert_eq!(meaning, Meaning::default());
        assert_eq!(Meaning::of("important").unknown, 1);
        assert_eq!(Meaning::of(&"host".repeat(1_000)).unknown, 1);
    }
}
