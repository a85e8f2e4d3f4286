//! Tokenizes Rust leniently: unknown bytes are tokens of their own.

/// A token of a source file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token<'a> {
    /// An identifier or a keyword. A raw identifier keeps its `r#`, so it is no keyword.
    Word(&'a str),
    /// `::`
    Colons,
    /// `->` or `=>`, whose `>` closes no bracket.
    Arrow,
    Punct(u8),
}

/// An iterator over the tokens of a source and their lines, without comments, literals and lifetimes.
pub(super) struct Tokens<'a> {
    source: &'a str,
    at: usize,
    line: u32,
}

impl<'a> Tokens<'a> {
    pub(super) fn of(source: &'a str) -> Self {
        Self {
            source,
            at: 0,
            line: 1,
        }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = (Token<'a>, u32);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (start, line) = (self.at, self.line);
            let token = match (self.bump()?, self.peek(0)) {
                (b'/', Some(b'/')) => {
                    self.bump_while(|byte| byte != b'\n');
                    continue;
                }
                (b'/', Some(b'*')) => {
                    self.block_comment();
                    continue;
                }
                (b'"', _) => {
                    self.string();
                    continue;
                }
                (b'\'', _) => {
                    self.char_or_lifetime();
                    continue;
                }
                (byte, _) if byte.is_ascii_digit() => {
                    self.bump_while(is_word);
                    continue;
                }
                (byte, _) if is_word(byte) => match self.word(start) {
                    Some(word) => Token::Word(word),
                    None => continue,
                },
                (byte, _) if byte.is_ascii_whitespace() => continue,
                (b':', Some(b':')) => {
                    self.bump();
                    Token::Colons
                }
                (b'-' | b'=', Some(b'>')) => {
                    self.bump();
                    Token::Arrow
                }
                (byte, _) => Token::Punct(byte),
            };
            return Some((token, line));
        }
    }
}

/// Returns `true` if the byte can be part of a word. Outside of comments and literals, all bytes that are not ASCII
/// can.
fn is_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric() || !byte.is_ascii()
}

/// The functions for the kinds of tokens. Each continues behind the first byte of its token.
impl<'a> Tokens<'a> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.source.as_bytes().get(self.at + ahead).copied()
    }

    fn bump(&mut self) -> Option<u8> {
        let byte = self.peek(0)?;
        self.at += 1;
        self.line += u32::from(byte == b'\n');
        Some(byte)
    }

    fn bump_while(&mut self, wanted: impl Fn(u8) -> bool) {
        while self.peek(0).is_some_and(&wanted) {
            self.bump();
        }
    }

    fn block_comment(&mut self) {
        self.bump();
        let mut depth = 1_usize;
        while depth > 0 {
            match (self.bump(), self.peek(0)) {
                (None, _) => return,
                (Some(b'/'), Some(b'*')) => depth += 1,
                (Some(b'*'), Some(b'/')) => depth -= 1,
                _ => continue,
            }
            self.bump();
        }
    }

    fn string(&mut self) {
        while let Some(byte) = self.bump() {
            match byte {
                b'\\' => drop(self.bump()),
                b'"' => return,
                _ => {}
            }
        }
    }

    fn raw_string(&mut self, hashes: usize) {
        for _ in 0..=hashes {
            self.bump();
        }
        while let Some(byte) = self.bump() {
            if byte == b'"' {
                let mut seen = 0;
                while seen < hashes && self.peek(0) == Some(b'#') {
                    self.bump();
                    seen += 1;
                }
                if seen == hashes {
                    return;
                }
            }
        }
    }

    fn char_or_lifetime(&mut self) {
        let mut chars = self.source.get(self.at..).unwrap_or_default().chars();
        match (chars.next(), chars.next()) {
            (Some('\\'), _) => {
                self.bump();
                self.bump();
                self.bump_while(|byte| byte != b'\'' && byte != b'\n');
                self.bump();
            }
            (Some(char), Some('\'')) => {
                for _ in 0..=char.len_utf8() {
                    self.bump();
                }
            }
            _ => self.bump_while(is_word),
        }
    }

    /// Returns the word that begins at `start`, or `None` if it was the prefix of a literal.
    fn word(&mut self, start: usize) -> Option<&'a str> {
        self.bump_while(is_word);
        let word = self.source.get(start..self.at)?;
        let hashes = match word {
            "r" | "br" | "cr" => (0..).take_while(|&n| self.peek(n) == Some(b'#')).count(),
            _ => 0,
        };
        match (word, self.peek(hashes)) {
            ("r" | "br" | "cr", Some(b'"')) => self.raw_string(hashes),
            ("b" | "c", Some(b'"')) => {
                self.bump();
                self.string();
            }
            ("r", Some(byte)) if hashes == 1 && is_word(byte) => {
                self.bump();
                self.bump_while(is_word);
                return self.source.get(start..self.at);
            }
            _ => return Some(word),
        }
        None
    }
}
