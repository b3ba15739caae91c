//! The base64 of RFC 4648.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The text of these bytes.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |index: usize| group.get(index).copied().map_or(0, u32::from);
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let six = (bits >> (18 - 6 * place) & 63) as usize;
            let is_there = place <= group.len();
            text.push(if is_there {
                char::from(ALPHABET[six])
            } else {
                '='
            });
        }
    }
    text
}

/// The same in the alphabet of section 5, which addresses can have, without the signs at its end
/// that only fill it up.
pub(crate) fn encode_url(bytes: &[u8]) -> String {
    let text = encode(bytes);
    let plain = text.trim_end_matches('=').chars();
    let plain = plain.map(|letter| match letter {
        '+' => '-',
        '/' => '_',
        other => other,
    });
    plain.collect()
}

/// The bytes of this text; `None` when it is not of the form.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    for group in text.chunks(4) {
        let mut bits = 0_u32;
        for &letter in group {
            let six = ALPHABET.iter().position(|&known| known == letter)?;
            bits = bits << 6 | u32::try_from(six).ok()?;
        }
        bits <<= 6 * (4 - group.len());
        let whole = group.len().checked_sub(1).filter(|&whole| whole > 0)?;
        bytes.extend_from_slice(&bits.to_be_bytes()[1..=whole]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_addresses_can_not_have_is_written_otherwise() {
        assert_eq!(encode(&[0xfb, 0xff, 0xbf, 0xff]), "+/+//w==");
        assert_eq!(encode_url(&[0xfb, 0xff, 0xbf, 0xff]), "-_-__w");
    }

    #[test]
    fn the_standards_examples_hold() {
        let examples = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, coded) in examples {
            assert_eq!(encode(plain.as_bytes()), coded);
            assert_eq!(decode(coded).unwrap(), plain.as_bytes());
        }
        for wrong in ["A", "Z*==", "Zg==Z"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(bytes: Vec<u8>) {
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }
    }
}
