//! The alphabet in which byte-level vocabularies are written down: each byte is one printable
//! character. Printable Latin-1 stands for itself; the others take the characters from U+0100 on,
//! in order (GPT-2's `bytes_to_unicode`).

/// The byte that a character of the alphabet stands for.
pub(super) fn byte_of(character: char) -> Option<u8> {
    let code = u32::from(character);
    match code {
        0..=0xff => u8::try_from(code)
            .ok()
            .filter(|byte| stands_for_itself(*byte)),
        0x100..=0x143 => {
            let index = (code - 0x100) as usize;
            (0..=u8::MAX)
                .filter(|byte| !stands_for_itself(*byte))
                .nth(index)
        }
        _ => None,
    }
}

fn stands_for_itself(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff)
}

/// The bytes of a whole token; `None` where a character is not of the alphabet.
pub(super) fn bytes_of(table: &Table, token: &str) -> Option<Vec<u8>> {
    token.chars().map(|c| table.byte_of(c)).collect()
}

/// [`byte_of`] as a table.
pub(super) struct Table([Option<u8>; 0x144]);

impl Table {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|code| {
            char::from_u32(code as u32).and_then(byte_of)
        }))
    }

    fn byte_of(&self, character: char) -> Option<u8> {
        self.0.get(character as usize).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_has_every_byte_once() {
        let mut bytes: Vec<u8> = (0..0x200)
            .filter_map(char::from_u32)
            .filter_map(byte_of)
            .collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
        assert_eq!(byte_of('Ġ'), Some(b' '));
        assert_eq!(byte_of('Ċ'), Some(b'\n'));
    }
}
