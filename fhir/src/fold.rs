//! Text as string search compares it: without case, marks or uneven spaces.
//! <https://hl7.org/fhir/R4/search.html#string>
//!
//! Compatibility decomposition (NFKD), marks dropped, lower case, white space runs as one space, trimmed:
//! `Müller`, `MULLER` and both of its Unicode spellings are `muller`.
//!
//! Not every letter with something on it is a letter and a mark:
//!
//! | letter | becomes | why |
//! |---|---|---|
//! | German `ß`, `ẞ` | `ss` | its own upper case is `SS`: `STRASSE` and `Straße` are one name |
//! | Turkish `İ`, `ı` | `i` | `I` is `i` here; a name in capitals cannot say which of the two it was |
//! | Greek final `ς` | `σ` | `Σ` is the capital of both |
//! | `æ`, `ø`, `đ`, `ł` | themselves | letters of their own: no spelling of them is another letter and a mark |
//! | Indic vowel signs, `が` | themselves | without them it would be another syllable, not the same one |

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::canonical_combining_class;

/// Folds `text`; borrowed if that changes nothing.
pub fn fold(text: &str) -> Cow<'_, str> {
    if is_folded(text) {
        return Cow::Borrowed(text);
    }
    let mut folded = Folded { text: String::with_capacity(text.len()), space: false };
    if text.is_ascii() {
        text.chars().for_each(|letter| folded.push(letter.to_ascii_lowercase()));
    } else {
        for letter in text.nfkd() {
            folded.lower(letter);
        }
    }
    Cow::Owned(folded.text)
}

/// Whether folding changes nothing, as far as ASCII can tell.
fn is_folded(text: &str) -> bool {
    let mut spaced = true;
    for byte in text.bytes() {
        let space = byte == b' ';
        let changes = !byte.is_ascii()
            || byte.is_ascii_uppercase()
            || (space && spaced)
            || (!space && byte.is_ascii_whitespace())
            || byte == VERTICAL_TAB;
        if changes {
            return false;
        }
        spaced = space;
    }
    !spaced || text.is_empty()
}

/// White space to Unicode, but not to `is_ascii_whitespace`.
const VERTICAL_TAB: u8 = 0x0b;

/// Whether a mark stands around its letter: an accent, a tone, a Hebrew or Arabic point.
///
/// The classes below ten are a letter's substance (nukta, virama, kana voicing); vowel signs have class zero.
fn is_accent(mark: char) -> bool {
    canonical_combining_class(mark) >= 10
}

struct Folded {
    text: String,
    /// White space was seen, and is written once more text follows.
    space: bool,
}

impl Folded {
    fn lower(&mut self, letter: char) {
        match letter {
            'ß' | 'ẞ' => ['s', 's'].into_iter().for_each(|s| self.push(s)),
            'ı' => self.push('i'),
            'ς' => self.push('σ'),
            _ if is_accent(letter) => {}
            _ => letter.to_lowercase().for_each(|lower| self.push(lower)),
        }
    }

    fn push(&mut self, letter: char) {
        if letter.is_whitespace() {
            self.space = true;
            return;
        }
        if self.space && !self.text.is_empty() {
            self.text.push(' ');
        }
        self.space = false;
        self.text.push(letter);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_a_person_would_call_equal_are_equal() {
        for (text, folded) in [
            ("muller", "muller"),
            ("Müller", "muller"),
            ("MU\u{308}LLER", "muller"),
            ("MULLER", "muller"),
            ("  van\t der \n Berg ", "van der berg"),
            ("van\u{a0}der\u{b}Berg", "van der berg"),
            ("Straße", "strasse"),
            ("STRAẞE", "strasse"),
            ("İstanbul Işık", "istanbul isik"),
            ("ısı", "isi"),
            ("Siân Ŵyn", "sian wyn"),
            ("Ó Súilleabháin", "o suilleabhain"),
            ("Nguyễn", "nguyen"),
            ("Ångström", "angstrom"),
            ("Ærø ŁÓDŹ", "ærø łodz"),
            ("ΣΊΣΥΦΟΣ σίσυφος", "σισυφοσ σισυφοσ"),
            ("ﬁnn Ⅳ ２", "finn iv 2"),
            ("O'Neill-Smith", "o'neill-smith"),
            ("שָׁלוֹם", "שלום"),
            ("सिंह", "सिंह"),
            ("か", "か"),
            ("", ""),
            (" \t ", ""),
            ("\u{301}", ""),
        ] {
            assert_eq!(fold(text), folded, "{text}");
        }
    }

    #[test]
    fn folded_ascii_is_not_copied() {
        for text in ["", "muller", "van der berg", "o'neill 2"] {
            assert!(matches!(fold(text), Cow::Borrowed(_)), "{text}");
        }
        for text in ["Muller", " a", "a ", "a  b", "a\tb", "a\u{b}b"] {
            assert!(matches!(fold(text), Cow::Owned(_)), "{text}");
        }
    }

    /// One code point of three bytes, U+FDFA, is eighteen letters: no text grows more than that.
    const GROWTH: usize = 11;

    #[test]
    fn every_character_folds_to_what_stays_as_it_is() {
        // Beyond the second plane are ideographs and nothing that has a case.
        for letter in '\0'..='\u{1ffff}' {
            let text = letter.to_string();
            let once = fold(&text).into_owned();
            assert_eq!(fold(&once), once, "U+{:04X}", u32::from(letter));
            assert!(once.len() <= GROWTH * text.len(), "U+{:04X}", u32::from(letter));
        }
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(text in any::<String>()) {
            let once = fold(&text).into_owned();
            prop_assert_eq!(fold(&once), once.as_str());
            prop_assert!(once.len() <= GROWTH * text.len());
        }

        #[test]
        fn both_spellings_and_both_cases_fold_alike(text in "[a-zA-ZÀ-ÖØ-öø-ÿ ]{0,20}") {
            let (composed, apart): (String, String) = (text.nfc().collect(), text.nfd().collect());
            prop_assert_eq!(fold(&composed), fold(&apart));
            let (upper, lower) = (text.to_uppercase(), text.to_lowercase());
            prop_assert_eq!(fold(&upper), fold(&lower));
        }
    }
}
