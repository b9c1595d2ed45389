//! Base64 of credentials (RFC 4648), which is all that the site needs of it.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Encodes with padding.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = (0..3)
            .fold(0_usize, |word, i| word << 8 | chunk.get(i).copied().map_or(0, usize::from));
        for i in 0..4 {
            let letter = ALPHABET.get(word >> (18 - 6 * i) & 63).filter(|_| i <= chunk.len());
            text.push(letter.copied().map_or('=', char::from));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn encodes_the_examples_of_rfc_4648() {
        let examples =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (plain, encoded) in examples {
            assert_eq!(super::encode(plain.as_bytes()), encoded);
        }
    }
}
