//! Receivers that misbehave.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use watchkeeper_site::sink::Received;

/// After how long without a word from the other side a thread gives up on a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// Has each connection to a port of its own dealt with on a thread; gives the URL.
fn listen(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            let serve = serve.clone();
            std::thread::spawn(move || {
                let _ = stream.set_read_timeout(Some(PATIENCE));
                let _ = stream.set_write_timeout(Some(PATIENCE));
                serve(stream);
            });
        }
    });
    url
}

/// A receiver that takes every connection, reads, and never answers.
pub fn stalling() -> String {
    listen(|mut stream| {
        let mut bytes = [0; 1024];
        while stream.read(&mut bytes).is_ok_and(|count| count > 0) {}
    })
}

/// A receiver that answers each request with another kind of rubbish.
pub struct Rubbish {
    pub url: String,
    came: Arc<Mutex<Vec<Received>>>,
}

/// What it answers, in turn, and whether that says, among whatever else, that the request was taken.
const ANSWERS: [(&[u8], bool); 7] = [
    // No HTTP.
    (b"HTTP/1.1 banana\r\n\r\n", false),
    // More than it said.
    (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok and so on, and so on\r\n\r\n", true),
    // Half of what it said.
    (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf", false),
    // Not what anybody asked for.
    (b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n\0\xff\xfe<html>{\"status\":", true),
    // Two lengths.
    (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok", false),
    // A body without an end, see `HUGE`.
    (b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n", true),
    // Nothing.
    (b"", false),
];

/// So many mebibytes of a body are sent at the most, if they are taken.
const HUGE: usize = 64;

impl Rubbish {
    pub fn start() -> Self {
        let came = Arc::<Mutex<Vec<Received>>>::default();
        let kept = Arc::clone(&came);
        let url = listen(move |stream| {
            // Whoever goes away in between has broken it off.
            let _ = answer(&stream, &kept);
        });
        Self { url, came }
    }

    /// Every request that came whole, with 200 where the answer says that it was taken, else 0.
    pub fn requests(&self) -> Vec<Received> {
        self.came.lock().unwrap().clone()
    }
}

fn answer(stream: &TcpStream, kept: &Mutex<Vec<Received>>) -> std::io::Result<()> {
    let request = read(&mut BufReader::new(stream))?;
    let (bytes, taken) = {
        let mut kept = kept.lock().unwrap();
        let (bytes, taken) = ANSWERS[kept.len() % ANSWERS.len()];
        kept.push(Received { answered: if taken { 200 } else { 0 }, ..request });
        (bytes, taken)
    };
    let mut stream = stream;
    stream.write_all(bytes)?;
    if taken && bytes.ends_with(b"1073741824\r\n\r\n") {
        let some = vec![b'x'; 1024 * 1024];
        for _ in 0..HUGE {
            stream.write_all(&some)?;
        }
    }
    Ok(())
}

fn read(stream: &mut BufReader<&TcpStream>) -> std::io::Result<Received> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let header = |line: &String| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_lowercase(), value.trim().to_owned())
    };
    let headers: Vec<(String, String)> = lines[1..].iter().map(header).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.map_or(0, |(_, length)| length.parse().unwrap())];
    stream.read_exact(&mut body)?;
    Ok(Received {
        at: Instant::now(),
        method: "POST".to_owned(),
        path: "/rubbish".to_owned(),
        headers,
        body: String::from_utf8(body).unwrap(),
        answered: 0,
    })
}
