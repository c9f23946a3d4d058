//! The keys that let a client go from a terminal while the program runs on: `ctrl-p,ctrl-q` unless it names others.

/// What counts where nothing is named: ctrl-p, ctrl-q.
const DEFAULT: [u8; 2] = [16, 17];

/// Keys that cannot be: the words of the one that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Unknown character: '{0}'")]
pub(crate) struct UnknownKey(String);

/// A sequence of keys, and how much of it was pressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DetachKeys {
    keys: Vec<u8>,
    pressed: usize,
}

/// What a piece of input comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pressed {
    /// This is for the program.
    Input(Vec<u8>),
    /// This is, and then the client leaves. What it sent behind the keys is for nobody.
    Detach(Vec<u8>),
}

impl DetachKeys {
    /// Reads letters and `ctrl-` with a letter or one of `@[\]^_`, or `DEL`, with commas between; empty: the usual ones.
    pub(crate) fn parse(text: &str) -> Result<Self, UnknownKey> {
        let keys =
            if text.is_empty() { DEFAULT.to_vec() } else { text.split(',').map(key).collect::<Result<_, _>>()? };
        Ok(Self { keys, pressed: 0 })
    }

    /// Takes what was pressed next. Keys that may be the beginning of the sequence are held back until it is known.
    pub(crate) fn press(&mut self, bytes: &[u8]) -> Pressed {
        let mut input = Vec::with_capacity(bytes.len() + self.pressed);
        for byte in bytes {
            if *byte == self.keys[self.pressed] {
                self.pressed += 1;
                if self.pressed == self.keys.len() {
                    self.pressed = 0;
                    return Pressed::Detach(input);
                }
                continue;
            }
            // As in Docker the key that breaks a sequence begins no other one.
            input.extend_from_slice(&self.keys[..self.pressed]);
            self.pressed = 0;
            input.push(*byte);
        }
        Pressed::Input(input)
    }
}

fn key(word: &str) -> Result<u8, UnknownKey> {
    let unknown = || UnknownKey(word.to_owned());
    match (word.as_bytes(), word.strip_prefix("ctrl-").map(str::as_bytes)) {
        ([byte], _) => Ok(*byte),
        (_, Some([letter @ (b'a'..=b'z' | b'@' | b'[' | b'\\' | b']' | b'^' | b'_')])) => Ok(letter & 0x1f),
        (b"DEL", _) => Ok(127),
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_docker_reads_them() {
        let check = |text: &str, expected: Result<&[u8], &str>| {
            let found = DetachKeys::parse(text).map(|keys| keys.keys).map_err(|error| error.to_string());
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{text}");
        };
        check("", Ok(&[16, 17]));
        check("a", Ok(b"a"));
        check("ctrl-p,ctrl-q", Ok(&[16, 17]));
        check("ctrl-@,ctrl-a,ctrl-z,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_,DEL", Ok(&[0, 1, 26, 27, 28, 29, 30, 31, 127]));
        check("ctrl-A", Err("Unknown character: 'ctrl-A'"));
        check("ab", Err("Unknown character: 'ab'"));
        check("a,", Err("Unknown character: ''"));
    }

    #[test]
    fn a_sequence_detaches_wherever_it_is_split() {
        let mut keys = DetachKeys::parse("").unwrap();

        assert_eq!(keys.press(b"ls\n\x10"), Pressed::Input(b"ls\n".to_vec()));
        assert_eq!(keys.press(b""), Pressed::Input(Vec::new()));
        assert_eq!(keys.press(b"\x11rest"), Pressed::Detach(Vec::new()));
        assert_eq!(keys.press(b"x\x10\x11"), Pressed::Detach(b"x".to_vec()));
    }

    #[test]
    fn the_beginning_of_a_sequence_that_does_not_come_is_input() {
        let mut keys = DetachKeys::parse("a,b,c").unwrap();

        assert_eq!(keys.press(b"ab"), Pressed::Input(Vec::new()));
        assert_eq!(keys.press(b"xab"), Pressed::Input(b"abx".to_vec()));
        assert_eq!(keys.press(b"aabc"), Pressed::Detach(b"aba".to_vec()));
        assert_eq!(keys.press(b"abc"), Pressed::Detach(Vec::new()));
    }

    proptest::proptest! {
        #[test]
        fn no_input_is_lost_or_added(pieces in proptest::collection::vec("[ab]{0,6}", 0..6)) {
            let mut keys = DetachKeys::parse("a,b,a,b,b").unwrap();
            let mut input = Vec::new();
            let mut sent = Vec::new();
            for piece in &pieces {
                sent.extend_from_slice(piece.as_bytes());
                match keys.press(piece.as_bytes()) {
                    Pressed::Input(bytes) => input.extend(bytes),
                    Pressed::Detach(_) => return Ok(()),
                }
            }
            input.extend_from_slice(&keys.keys[..keys.pressed]);
            proptest::prop_assert_eq!(input, sent);
        }
    }
}
