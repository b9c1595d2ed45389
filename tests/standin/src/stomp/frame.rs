//! STOMP 1.2 frames as bytes.
//!
//! Bytes arrive in pieces of any size, so the decoder keeps what it has and gives out a frame only when it is whole:
//! where the pieces were cut can never be seen in the result. What comes from outside is bounded in size and never
//! trusted: a wrong frame is an error, not a panic.

use std::fmt::Write as _;

/// Bytes that a frame's command and headers may take together.
const MAX_HEAD: usize = 64 * 1024;
/// Bytes that a frame's body may take.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// One STOMP frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What the frame is, in capitals: `SEND`, `MESSAGE`, ...
    pub command: String,
    /// Names and values in the order of the frame, not escaped. Of a repeated name the first counts.
    pub headers: Vec<(String, String)>,
    /// The body; empty where there is none.
    pub body: Vec<u8>,
}

/// Why bytes are not a STOMP frame. After one of these the connection is of no use any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The head or the body is larger than this side accepts.
    #[error("a frame's {part} is larger than {limit} bytes")]
    TooLarge {
        /// Which part.
        part: &'static str,
        /// Its limit in bytes.
        limit: usize,
    },
    /// The command or a header is not UTF-8.
    #[error("a frame's head is not UTF-8")]
    NotUtf8,
    /// A header line has no colon, or a wrong escape.
    #[error("not a header line: {0:?}")]
    Header(String),
    /// The content-length is not a number.
    #[error("not a content-length: {0:?}")]
    ContentLength(String),
    /// The byte after the body is not the NUL that ends a frame.
    #[error("the frame is longer than its content-length says")]
    Unterminated,
}

impl Frame {
    /// A frame without headers and body.
    #[must_use]
    pub fn new(command: &str) -> Self {
        Self { command: command.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    /// The same frame with one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The same frame with this body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The value of the first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The frame as bytes, with a content-length of its own where there is a body.
    pub fn encode(&self) -> Vec<u8> {
        let escaped = escapes(&self.command);
        let mut head = format!("{}\n", self.command);
        for (name, value) in self.headers.iter().filter(|(name, _)| name != "content-length") {
            push_text(&mut head, name, escaped);
            head.push(':');
            push_text(&mut head, value, escaped);
            head.push('\n');
        }
        if !self.body.is_empty() {
            // Writing to a string cannot fail.
            let _ = writeln!(head, "content-length:{}", self.body.len());
        }
        head.push('\n');
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes.push(0);
        bytes
    }
}

/// CONNECT and CONNECTED are written without escapes, for the sake of STOMP 1.0.
fn escapes(command: &str) -> bool {
    !matches!(command, "CONNECT" | "CONNECTED")
}

fn push_text(out: &mut String, text: &str, escaped: bool) {
    for c in text.chars() {
        match c {
            '\\' if escaped => out.push_str("\\\\"),
            ':' if escaped => out.push_str("\\c"),
            '\n' if escaped => out.push_str("\\n"),
            '\r' if escaped => out.push_str("\\r"),
            c => out.push(c),
        }
    }
}

fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => match chars.next()? {
                '\\' => '\\',
                'c' => ':',
                'n' => '\n',
                'r' => '\r',
                _ => return None,
            },
            c => c,
        });
    }
    Some(out)
}

/// Turns bytes, in pieces of any size, into frames.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
}

impl Decoder {
    /// Takes in what has arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole frame, or `None` until more bytes have come. Heart-beats between frames are passed over.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let beats = self.bytes.iter().take_while(|b| matches!(b, b'\n' | b'\r')).count();
        self.bytes.drain(..beats);

        let Some(head_end) = head_end(&self.bytes) else {
            return if self.bytes.len() > MAX_HEAD {
                Err(too_large("head", MAX_HEAD))
            } else {
                Ok(None)
            };
        };
        if head_end > MAX_HEAD {
            return Err(too_large("head", MAX_HEAD));
        }
        let head = self.bytes.get(..head_end).unwrap_or_default();
        let (command, headers) = parse_head(head)?;
        let rest = self.bytes.get(head_end..).unwrap_or_default();

        let length = match headers.iter().find(|(name, _)| name == "content-length") {
            Some((_, text)) => Some(
                text.trim()
                    .parse::<usize>()
                    .map_err(|_| FrameError::ContentLength(text.clone()))?,
            ),
            None => rest.iter().position(|b| *b == 0),
        };
        let length = match length {
            Some(length) if length > MAX_BODY => return Err(too_large("body", MAX_BODY)),
            Some(length) => length,
            None if rest.len() > MAX_BODY => return Err(too_large("body", MAX_BODY)),
            None => return Ok(None),
        };
        match rest.get(length) {
            None => Ok(None),
            Some(0) => {
                let body = rest.get(..length).unwrap_or_default().to_vec();
                self.bytes.drain(..=head_end + length);
                Ok(Some(Frame { command, headers, body }))
            }
            Some(_) => Err(FrameError::Unterminated),
        }
    }
}

fn too_large(part: &'static str, limit: usize) -> FrameError {
    FrameError::TooLarge { part, limit }
}

/// Where the body begins: behind the first empty line, whose end may be `\n` or `\r\n`.
fn head_end(bytes: &[u8]) -> Option<usize> {
    let mut line_is_empty = false;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'\n' if line_is_empty => return Some(at + 1),
            b'\n' => line_is_empty = true,
            b'\r' => {}
            _ => line_is_empty = false,
        }
    }
    None
}

type Headers = Vec<(String, String)>;

fn parse_head(head: &[u8]) -> Result<(String, Headers), FrameError> {
    let text = std::str::from_utf8(head).map_err(|_| FrameError::NotUtf8)?;
    let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    let command = lines.next().unwrap_or_default().to_owned();
    let escaped = escapes(&command);
    let mut headers = Vec::new();
    for line in lines.take_while(|line| !line.is_empty()) {
        let wrong = || FrameError::Header(line.to_owned());
        let (name, value) = line.split_once(':').ok_or_else(wrong)?;
        headers.push(if escaped {
            (unescape(name).ok_or_else(wrong)?, unescape(value).ok_or_else(wrong)?)
        } else {
            (name.to_owned(), value.to_owned())
        });
    }
    Ok((command, headers))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode_all(decoder: &mut Decoder) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = decoder.next_frame().unwrap() {
            frames.push(frame);
        }
        frames
    }

    fn any_frame() -> impl Strategy<Value = Frame> {
        let text = "[a-z:\\\\\n\r\u{e4}]{1,8}";
        (
            prop_oneof![Just("SEND"), Just("MESSAGE"), Just("ERROR")],
            prop::collection::vec((text, text), 0..4),
            prop::collection::vec(any::<u8>(), 0..40),
        )
            .prop_map(|(command, headers, body)| Frame {
                command: command.to_owned(),
                headers,
                body,
            })
    }

    proptest! {
        /// Frames come out as they went in, wherever the stream is cut and whatever heart-beats stand between them.
        #[test]
        fn split_anywhere(
            frames in prop::collection::vec((any_frame(), 0usize..3), 1..5),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let mut stream = Vec::new();
            for (frame, beats) in &frames {
                stream.extend(std::iter::repeat_n(b'\n', *beats));
                stream.extend(frame.encode());
            }
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();

            let mut decoder = Decoder::default();
            let mut seen = Vec::new();
            for pair in cuts.windows(2) {
                decoder.push(&stream[pair[0]..pair[1]]);
                seen.extend(decode_all(&mut decoder));
            }
            // The content-length is the encoder's own header.
            for frame in &mut seen {
                frame.headers.retain(|(name, _)| name != "content-length");
            }
            let sent: Vec<Frame> = frames.into_iter().map(|(frame, _)| frame).collect();
            prop_assert_eq!(seen, sent);
        }

        /// No bytes make the decoder panic, or give out frames for ever.
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = Decoder::default();
            decoder.push(&bytes);
            let mut frames = 0;
            while let Ok(Some(_)) = decoder.next_frame() {
                frames += 1;
                prop_assert!(frames <= bytes.len());
            }
        }
    }

    #[test]
    fn a_body_may_hold_nul_when_its_length_is_given() {
        let mut decoder = Decoder::default();
        decoder.push(b"MESSAGE\r\ncontent-length:3\r\n\r\na\0b\0\n");
        let frame = decoder.next_frame().unwrap().unwrap();
        assert_eq!(frame.body, b"a\0b");
        assert_eq!(decoder.next_frame(), Ok(None));
    }

    #[test]
    fn connected_is_not_unescaped_and_the_first_of_a_name_counts() {
        let mut decoder = Decoder::default();
        decoder.push(b"CONNECTED\nserver:a\\c:b\nserver:second\n\n\0");
        let frame = decoder.next_frame().unwrap().unwrap();
        assert_eq!(frame.header("server"), Some("a\\c:b"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let case = |bytes: &[u8]| {
            let mut decoder = Decoder::default();
            decoder.push(bytes);
            decoder.next_frame().unwrap_err()
        };
        assert_eq!(case(b"SEND\nnocolon\n\n\0"), FrameError::Header("nocolon".to_owned()));
        assert_eq!(case(b"SEND\na:\\t\n\n\0"), FrameError::Header("a:\\t".to_owned()));
        assert_eq!(
            case(b"SEND\ncontent-length:x\n\n\0"),
            FrameError::ContentLength("x".to_owned())
        );
        assert_eq!(case(b"SEND\ncontent-length:1\n\nab\0"), FrameError::Unterminated);
        assert_eq!(case(b"SEND\n\xff:a\n\n\0"), FrameError::NotUtf8);
        assert_eq!(case(&vec![b'A'; MAX_HEAD + 1]), too_large("head", MAX_HEAD));
        assert_eq!(case(b"SEND\ncontent-length:9999999\n\n"), too_large("body", MAX_BODY));
        let mut endless = b"SEND\n\n".to_vec();
        endless.extend(vec![b'x'; MAX_BODY + 1]);
        assert_eq!(case(&endless), too_large("body", MAX_BODY));
    }
}
