//! A database server that answers without end takes neither the monitor's memory nor its time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::Instant;
use watchkeeper::postgres::{Pg, PgError, PgTarget, PgTls};

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[kind], &length.to_be_bytes()[..], body].concat()
}

/// Lets anyone in, and answers every question with this, again and again.
async fn server(head: Vec<u8>, again: Vec<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (head, again) = (head.clone(), again.clone());
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let welcome = [message(b'R', &[0; 4]), message(b'Z', b"I")].concat();
                let _ = stream.write_all(&welcome).await;
                let _ = stream.read(&mut [0; 4096]).await;
                let set = [message(b'C', b"SET\0"), message(b'Z', b"I")].concat();
                let _ = stream.write_all(&set).await;
                let _ = stream.write_all(&head).await;
                while stream.write_all(&again).await.is_ok() {}
            });
        }
    });
    port
}

#[tokio::test]
async fn an_answer_without_end_is_given_up() {
    // A column named `x`, and rows of one byte; or one message that claims two gigabytes.
    let column = [b"\0\x01x\0".as_slice(), &[0; 6], &25_u32.to_be_bytes(), &[0; 8]].concat();
    let row = message(b'D', b"\0\x01\0\0\0\x01y");
    let huge = [&[b'D'][..], &0x7fff_ffff_u32.to_be_bytes()].concat();
    for (head, again) in [
        (message(b'T', &column), row.repeat(1_000)),
        ([message(b'T', &column), huge].concat(), vec![0; 65_536]),
    ] {
        let port = server(head, again).await;
        let pg = Pg::new(PgTarget {
            host: "127.0.0.1".to_owned(),
            port,
            dbname: "datamover".to_owned(),
            user: "watchkeeper".to_owned(),
            password: None,
            tls: PgTls::Off,
        });
        let deadline = Instant::now() + Duration::from_mins(1);
        let error = pg.query_rows("select 1", deadline).await.unwrap_err();
        assert!(matches!(error, PgError::Protocol { .. }), "{error:?}");
        assert!(watchkeeper::errors::chain(&error).contains("more than 4 MiB"), "{error}");
    }
}
