//! Values that are legal in Graph and break careless readers. They are put into the
//! tenant itself, so the truth holds them, too.

use chrono::{DateTime, Utc};

use crate::model::Tenant;
use crate::random::Random;

/// Texts to put in place of names and descriptions. U+FFFD stands for half of a
/// surrogate pair: the wire shows the half, which no text in Rust can hold.
const TEXTS: &[&str] = &[
    "\u{202e}tfel ot thgir\u{202c}",
    "\u{645}\u{62f}\u{64a}\u{631} \u{627}\u{644}\u{646}\u{638}\u{627}\u{645}",
    "\u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467} \u{1f3f3}\u{fe0f}\u{200d}\u{1f308}",
    "e\u{301}\u{327}\u{308}\u{330} combined",
    "nul \u{0} in the middle",
    "\u{0}",
    "half a pair: \u{fffd}",
    "\u{200b}zero\u{200b}width\u{feff}",
    "  blanks around  ",
    "tab\tnew\nline\r\u{1}\u{1f}\u{7f}",
    "'; DROP TABLE principals; --",
    "\"quoted\" \\back\\slash {\"json\": null}",
    "\u{130}stanbul stra\u{df}e \u{fb01}ne \u{3a3}\u{3c2}",
    "noncharacters \u{fffe}\u{10ffff}",
    "null",
    "=cmd|' /C calc'!A0",
    "<script>alert(1)</script>",
];

/// The longest name Graph allows.
const LONGEST_NAME: usize = 256;

/// Begin of the year 1, end of the year 9999, and one in between.
const FIRST_SECOND: i64 = -62_135_596_800;
const LAST_SECOND: i64 = 253_402_300_799;
const SOME_SECOND: i64 = 1_704_067_200;

impl Tenant {
    /// Gives a share of the users, groups, service principals and applications odd
    /// texts and dates. Which, only the seed decides. Half of a surrogate pair, which
    /// the wire shows, is U+FFFD in the tenant and its truth.
    pub fn make_hostile(&mut self, seed: u64, share: f64) {
        let mut maker = Maker {
            random: Random::labelled(seed, "hostile"),
            turn: 0,
        };
        for user in self.users.values_mut() {
            if maker.random.chance(share) {
                user.display_name = maker.text();
                user.job_title = Some(maker.text());
                user.department = Some(maker.text());
                user.company_name = Some(maker.text());
                user.extension_attributes.insert(15, maker.text());
                user.created = maker.moment();
                user.employee_hire_date = Some(maker.moment());
                user.last_password_change = Some(maker.moment());
            }
        }
        for group in self.groups.values_mut() {
            if maker.random.chance(share) {
                group.display_name = maker.text();
                group.description = Some(maker.text());
                group.created = maker.moment();
                group.expiration = Some(maker.moment());
            }
        }
        for principal in self.service_principals.values_mut() {
            if maker.random.chance(share) {
                principal.display_name = maker.text();
                principal.notes = Some(maker.text());
                principal.description = Some(maker.text());
            }
        }
        for application in self.applications.values_mut() {
            if maker.random.chance(share) {
                application.display_name = maker.text();
                application.description = Some(maker.text());
                application.created = maker.moment();
            }
        }
    }
}

struct Maker {
    random: Random,
    turn: usize,
}

impl Maker {
    /// Every text has its turn.
    fn text(&mut self) -> String {
        self.turn += 1;
        match TEXTS.get(self.turn % (TEXTS.len() + 1)) {
            Some(text) => (*text).to_owned(),
            None => "\u{5b57}".repeat(LONGEST_NAME),
        }
    }

    /// The first and the last moment Graph knows, or one with 0 to 7 digits after
    /// the point.
    fn moment(&mut self) -> DateTime<Utc> {
        let at = |seconds, nanoseconds| {
            DateTime::from_timestamp(seconds, nanoseconds)
                .expect("all moments of Graph are within chrono's range")
        };
        match self.random.below(4) {
            0 => at(FIRST_SECOND, 0),
            1 => at(LAST_SECOND, 999_999_900),
            _ => {
                let digits = self.random.below(8) as u32;
                let unit = 10_u32.pow(9 - digits);
                at(SOME_SECOND, 123_456_789 / unit * unit)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_span_all_years_and_have_up_to_seven_digits() {
        let mut maker = Maker {
            random: Random::new(3),
            turn: 0,
        };
        let moments: Vec<String> = (0..200)
            .map(|_| maker.moment().format("%Y %f").to_string())
            .collect();
        for wanted in ["0001 000000000", "9999 999999900", "2024 123456700"] {
            assert!(moments.iter().any(|moment| moment == wanted), "{wanted}");
        }
        assert!(moments.iter().all(|moment| moment.ends_with("00")));
    }
}
