//! Secrets in what is sent and in what comes back.

use watchkeeper::deliver::Secrets;
use watchkeeper::secret::Secret;

const SECRETS: [(&str, &str); 4] =
    [("a", "s3/c\"ret"), ("b", "p%4& =x\n"), ("c", "z\u{fc}g\u{1f511}"), ("d", "s3/c")];

/// A text of a plugin's, with secrets put in, or an answer that repeats them: none is left when they are taken out.
pub fn secrets(data: &[u8]) {
    let pair = |(name, text): (&str, &str)| (name.to_owned(), Secret::new(text));
    let secrets = Secrets(SECRETS.map(pair).into());
    let sent = match secrets.expand(data) {
        Ok(sent) => sent,
        Err(refused) => {
            assert!(SECRETS.iter().all(|(name, _)| *name != refused.0), "{refused:?}");
            data.to_vec()
        }
    };
    let shown = secrets.scrub(&sent);
    for (name, secret) in SECRETS {
        let secret = secret.as_bytes();
        let found = shown.windows(secret.len()).any(|window| window == secret);
        assert!(!found, "the secret {name} shows: {:?}", String::from_utf8_lossy(&shown));
    }
    assert_eq!(secrets.scrub(&shown), shown, "taking secrets out twice changes something");
}
