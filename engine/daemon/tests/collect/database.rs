use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::Instant;
use watchkeeper::collect::{Database, ProbeKind, Replication, ReplicationSide, run_once};
use watchkeeper::postgres::{Pg, PgError, PgTls};
use watchkeeper::secret::Secret;
use watchkeeper_core::facts::{Observation, ReasonCode, Value};
use watchkeeper_core::model::Status;

use crate::support::{
    Manner, PASSWORD, Postgres, Stub, certificates, free_port, soon, spec, until,
};

async fn look(pg: &Pg, query: Option<&str>, writable: bool) -> Observation {
    let probe = Database { pg: pg.clone(), query: query.map(str::to_owned), writable };
    run_once(&spec("sql", ProbeKind::Database(probe))).await
}

#[tokio::test]
async fn queries_are_answered_in_time_or_given_up() {
    let Some(postgres) = Postgres::start(&[], |_| ()).await else { return };
    let pg = postgres.pg();
    let rows = pg.query_rows("select 1, null, 'x'", soon()).await.unwrap();
    assert_eq!(rows, [[Some("1".to_owned()), None, Some("x".to_owned())]]);
    pg.execute("create table t (a int)", soon()).await.unwrap();
    let error = pg.query_rows("select * from missing", soon()).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("42P01"), "{error:?}");

    // One that hangs delays no other, and the server does not go on with it.
    let deadline = Instant::now() + Duration::from_millis(500);
    let (late, other) = tokio::join!(
        pg.query_rows("select pg_sleep(600)", deadline),
        pg.query_rows("select 2", soon()),
    );
    let late = late.unwrap_err();
    assert!(matches!(late, PgError::TimedOut { .. }), "{late:?}");
    assert_eq!(other.unwrap(), [[Some("2".to_owned())]]);
    let asleep = "select count(*) from pg_stat_activity where query like '%pg_sleep(6%' \
                  and state = 'active' and pid <> pg_backend_pid()";
    until("the sleeper's end", async || {
        pg.query_rows(asleep, soon()).await.unwrap() == [[Some("0".to_owned())]]
    })
    .await;

    let mut target = postgres.target();
    target.password = Some(Secret::new("wrong guess"));
    let denied = Pg::new(target).query_rows("select 1", soon()).await.unwrap_err();
    assert!(matches!(denied, PgError::Denied { .. }), "{denied:?}");
    assert!(!format!("{denied} {denied:?}").contains("guess"));
    let mut target = postgres.target();
    target.password = None;
    let denied = Pg::new(target).query_rows("select 1", soon()).await.unwrap_err();
    assert!(matches!(denied, PgError::Denied { .. }), "{denied:?}");
}

#[tokio::test]
async fn a_database_is_up_when_it_answers_and_writes() {
    let Some(mut postgres) = Postgres::start(&[], |_| ()).await else { return };
    let pg = postgres.pg();
    let mut losses = pg.losses();
    assert_eq!(look(&pg, None, true).await.status, Status::Up);
    assert_eq!(look(&pg, Some("select true"), false).await.status, Status::Up);
    for no in ["select false", "select ''", "select null", "select 1 where false", "select 0"] {
        let seen = look(&pg, Some(no), false).await;
        assert_eq!((seen.status, seen.reason.code), (Status::Down, ReasonCode::Unhealthy), "{no}");
    }
    let wrong = look(&pg, Some("selec 1"), false).await;
    assert_eq!((wrong.status, wrong.reason.code), (Status::Unknown, ReasonCode::Monitor));

    pg.execute("alter system set default_transaction_read_only = on", soon()).await.unwrap();
    pg.execute("select pg_reload_conf()", soon()).await.unwrap();
    until("read-only", async || look(&pg, None, true).await.status == Status::Down).await;
    let seen = look(&pg, None, true).await;
    assert_eq!(seen.values.get("read-only"), Some(&Value::Flag(true)), "{seen:?}");
    assert_eq!(look(&pg, None, false).await.status, Status::Up);

    losses.mark_unchanged();
    postgres.server.kill(Signal::SIGQUIT);
    tokio::time::timeout_at(soon(), losses.changed()).await.unwrap().unwrap();
    let gone = look(&pg, None, false).await;
    assert_eq!((gone.status, gone.reason.code), (Status::Down, ReasonCode::Refused), "{gone:?}");
}

#[tokio::test]
async fn encryption_is_checked_against_the_configured_authority() {
    let mut files = None;
    let settings = ["ssl=on", "ssl_cert_file=../server.pem", "ssl_key_file=../server.key"];
    let Some(postgres) = Postgres::start(&settings, |folder| {
        certificates(folder);
        files = Some((folder.path("ca.pem"), folder.path("other.pem"), folder.path("none.pem")));
        let key = folder.path("server.key");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(key, mode).unwrap();
    })
    .await
    else {
        return;
    };
    let (ca, other, none) = files.unwrap();
    let with = |ca| {
        let mut target = postgres.target();
        target.tls = PgTls::Require { ca };
        Pg::new(target)
    };
    let query = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
    let rows = with(Some(ca)).query_rows(query, soon()).await.unwrap();
    assert_eq!(rows, [[Some("t".to_owned())]]);
    for ca in [Some(other), None] {
        let error = with(ca).query_rows(query, soon()).await.unwrap_err();
        assert!(matches!(error, PgError::Tls { .. }), "{error:?}");
        assert!(error.to_string().contains("certificate"), "{error}");
    }
    let error = with(Some(none)).query_rows(query, soon()).await.unwrap_err();
    assert_eq!(error.code(), ReasonCode::Monitor, "{error:?}");
}

#[tokio::test]
async fn what_is_no_database_is_told_apart() {
    let seen = async |port: u16, timeout: Duration| {
        let target = watchkeeper::postgres::PgTarget {
            host: "127.0.0.1".to_owned(),
            port,
            dbname: "x".to_owned(),
            user: "x".to_owned(),
            password: None,
            tls: PgTls::Off,
        };
        let probe = Database { pg: Pg::new(target), query: None, writable: false };
        let mut spec = spec("sql", ProbeKind::Database(probe));
        spec.timeout = timeout;
        let seen = run_once(&spec).await;
        (seen.status, seen.reason.code)
    };
    let long = Duration::from_secs(30);
    assert_eq!(seen(free_port(), long).await, (Status::Down, ReasonCode::Refused));
    let silent = Stub::start(Manner::Silent).await;
    let short = Duration::from_millis(300);
    assert_eq!(seen(silent.port, short).await, (Status::Down, ReasonCode::Silent));
    let gone = Stub::start(Manner::HangUp).await;
    assert_eq!(seen(gone.port, long).await, (Status::Down, ReasonCode::Reset));
    let garbage = Stub::start(Manner::Say(vec![b"HTTP/1.1 400 Bad Request\r\n".to_vec()])).await;
    let garbage = seen(garbage.port, long).await;
    assert_eq!(garbage.0, Status::Down, "{garbage:?}");
}

#[tokio::test]
async fn replication_is_judged_from_both_sides() {
    let Some(active) = Postgres::start(&[], |_| ()).await else { return };
    let Some(standby) = Postgres::start(&[], |_| ()).await else { return };
    let (here, there) = (active.pg(), standby.pg());
    let seen = async |pg: &Pg, side: &ReplicationSide| {
        let probe = Replication::new(pg.clone(), side.clone());
        run_once(&spec("replication", ProbeKind::Replication(probe))).await
    };
    let from_active = ReplicationSide::Active { slot: Some("dm".to_owned()) };
    let from_standby = ReplicationSide::Standby { subscription: None };
    for (pg, side) in [(&here, &from_active), (&there, &from_standby)] {
        let seen = seen(pg, side).await;
        assert_eq!(seen.status, Status::Down);
        assert!(seen.reason.detail.contains("not configured"), "{seen:?}");
    }

    for pg in [&here, &there] {
        pg.execute("create table jobs (id int primary key)", soon()).await.unwrap();
    }
    here.execute("create publication dm for table jobs", soon()).await.unwrap();
    let subscribe = format!(
        "create subscription dm connection E'host=127.0.0.1 port={} user=boss dbname=postgres \
         password=\\'{PASSWORD}\\'' publication dm",
        active.port
    );
    there.execute(&subscribe, soon()).await.unwrap();
    until("streaming", async || {
        seen(&here, &from_active).await.status == Status::Up
            && seen(&there, &from_standby).await.status == Status::Up
    })
    .await;
    here.execute("insert into jobs values (1)", soon()).await.unwrap();
    until("no lag", async || {
        seen(&here, &from_active).await.values.get("lag-bytes") == Some(&Value::Integer(0))
    })
    .await;
    let values = seen(&here, &from_active).await.values;
    for lag in ["sending-lag-bytes", "receiving-lag-bytes", "write-lag-bytes", "replay-lag-bytes"] {
        assert!(matches!(values.get(lag), Some(Value::Integer(0..))), "{lag} {values:?}");
    }
    assert_eq!(values.get("slot-active"), Some(&Value::Flag(true)));

    until("the row arrives", async || {
        there.query_rows("select id from jobs", soon()).await.unwrap().len() == 1
    })
    .await;

    // A row that is already there stops the apply worker again and again.
    let probe = Replication::new(there.clone(), from_standby.clone());
    let probe = spec("standby", ProbeKind::Replication(probe));
    assert_eq!(run_once(&probe).await.status, Status::Up);
    there.execute("insert into jobs values (2)", soon()).await.unwrap();
    here.execute("insert into jobs values (2)", soon()).await.unwrap();
    until("the failing worker is seen", async || {
        let seen = run_once(&probe).await;
        seen.status == Status::Down && seen.reason.detail.contains("failing")
    })
    .await;
    let errors = run_once(&probe).await.values.get("apply-errors").cloned();
    assert!(matches!(errors, Some(Value::Integer(1..))), "{errors:?}");

    there.execute("alter subscription dm disable", soon()).await.unwrap();
    let disabled = run_once(&probe).await;
    assert!(disabled.reason.detail.contains("disabled"), "{disabled:?}");
    until("the active side sees nobody", async || {
        let seen = seen(&here, &from_active).await;
        seen.status == Status::Down && seen.reason.detail.contains("not connected")
    })
    .await;
}
