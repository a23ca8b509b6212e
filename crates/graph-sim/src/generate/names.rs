//! Names of people, from several cultures, and how they become addresses.

/// Given names and surnames of one culture. Where the script is not Latin, a
/// name is written `native|latin`.
pub(crate) struct Culture {
    pub(crate) given: &'static [&'static str],
    pub(crate) surnames: &'static [&'static str],
}

pub(crate) const CULTURES: &[Culture] = &[
    Culture {
        given: &[
            "Sanne", "Bram", "Fleur", "Jeroen", "Maaike", "Thijs", "Lotte", "Wouter", "Noor",
            "Daan", "Femke", "Ruben",
        ],
        surnames: &[
            "de Vries",
            "van den Berg",
            "Bakker",
            "Janssen",
            "Visser",
            "Smit",
            "Meijer",
            "Mulder",
            "Hoekstra",
            "Brouwer",
            "Dijkstra",
            "Kuipers",
        ],
    },
    Culture {
        given: &[
            "Jürgen",
            "Anneliese",
            "Lukas",
            "Sabine",
            "Moritz",
            "Katharina",
            "Björn",
            "Heike",
            "Florian",
            "Ursula",
            "Tobias",
            "Renate",
        ],
        surnames: &[
            "Müller",
            "Schäfer",
            "Weiß",
            "Köhler",
            "Hoffmann",
            "Schröder",
            "Krüger",
            "Vogel",
            "Jäger",
            "Lindner",
            "Brandt",
            "Ziegler",
        ],
    },
    Culture {
        given: &[
            "Amélie", "Benoît", "Chloé", "Étienne", "Hélène", "Julien", "Maëlle", "Olivier",
            "Solène", "Thibault", "Zoé", "Gaël",
        ],
        surnames: &[
            "Lefèvre",
            "Moreau",
            "Garnier",
            "Faure",
            "Chevalier",
            "Rousseau",
            "Béranger",
            "Marchand",
            "Perrin",
            "Dufour",
            "Gauthier",
            "Colin",
        ],
    },
    Culture {
        given: &[
            "Lucía", "Álvaro", "Begoña", "Iñigo", "Marisol", "Joaquín", "Nerea", "Rubén", "Ximena",
            "Tomás", "Pilar", "Andrés",
        ],
        surnames: &[
            "García Núñez",
            "Muñoz",
            "Ibáñez",
            "Herrera",
            "Peña",
            "Castaño",
            "Ortega",
            "Vázquez",
            "Crespo",
            "Domínguez",
            "Sáez",
            "Robles",
        ],
    },
    Culture {
        given: &[
            "Agnieszka",
            "Łukasz",
            "Małgorzata",
            "Wojciech",
            "Zofia",
            "Krzysztof",
            "Iwona",
            "Paweł",
            "Kinga",
            "Stanisław",
            "Bożena",
            "Marek",
        ],
        surnames: &[
            "Kowalska",
            "Nowak",
            "Wiśniewski",
            "Zieliński",
            "Szymańska",
            "Wójcik",
            "Dąbrowski",
            "Jabłońska",
            "Krawczyk",
            "Pietrzak",
            "Górski",
            "Sikora",
        ],
    },
    Culture {
        given: &[
            "Søren", "Astrid", "Bjarke", "Freja", "Jørgen", "Maren", "Rasmus", "Signe", "Troels",
            "Ylva", "Åse", "Henrik",
        ],
        surnames: &[
            "Sørensen",
            "Møller",
            "Østergaard",
            "Kjær",
            "Lund",
            "Dahl",
            "Bjerregaard",
            "Holm",
            "Nygård",
            "Thorsen",
            "Ravn",
            "Skov",
        ],
    },
    Culture {
        given: &[
            "Ayşe", "Çağlar", "Elif", "Gökhan", "İpek", "Kerem", "Özlem", "Şebnem", "Tuğba",
            "Ümit", "Yiğit", "Derya",
        ],
        surnames: &[
            "Yılmaz", "Öztürk", "Şahin", "Çelik", "Aydın", "Koç", "Güneş", "Doğan", "Kılıç",
            "Aksoy", "Erdoğdu", "Tunç",
        ],
    },
    Culture {
        given: &[
            "Aarav", "Priya", "Rohan", "Ananya", "Vikram", "Sunita", "Karthik", "Meera", "Nikhil",
            "Lakshmi", "Devika", "Imran",
        ],
        surnames: &[
            "Deshpande",
            "Iyer",
            "Chatterjee",
            "Kulkarni",
            "Nair",
            "Bhattacharya",
            "Reddy",
            "Malhotra",
            "Joshi",
            "Pillai",
            "Sheikh",
            "Gill",
        ],
    },
    Culture {
        given: &[
            "美咲|Misaki",
            "健太|Kenta",
            "さくら|Sakura",
            "大輔|Daisuke",
            "陽子|Yoko",
            "翔|Sho",
            "千尋|Chihiro",
            "拓海|Takumi",
        ],
        surnames: &[
            "佐藤|Sato",
            "高橋|Takahashi",
            "渡辺|Watanabe",
            "小林|Kobayashi",
            "山口|Yamaguchi",
            "松本|Matsumoto",
            "井上|Inoue",
            "清水|Shimizu",
        ],
    },
    Culture {
        given: &[
            "ليلى|Layla",
            "يوسف|Yusuf",
            "مريم|Maryam",
            "خالد|Khalid",
            "نورة|Noura",
            "سامي|Sami",
            "هدى|Huda",
            "عمر|Omar",
        ],
        surnames: &[
            "الحداد|Alhaddad",
            "المنصوري|Almansoori",
            "الفارسي|Alfarsi",
            "الكعبي|Alkaabi",
            "الزهراني|Alzahrani",
            "النجار|Alnajjar",
        ],
    },
    Culture {
        given: &[
            "Olivia", "Desmond", "Siobhán", "Marcus", "Naomi", "Callum", "Winona", "Terrence",
            "Grace", "Malik", "Eleanor", "Isaac",
        ],
        surnames: &[
            "O'Connell",
            "Whitfield",
            "Okafor",
            "MacLeod",
            "Tremblay-Ross",
            "Nguyen",
            "Sinclair",
            "Baptiste",
            "Harrington",
            "Osei",
            "Lavoie",
            "Chen",
        ],
    },
];

/// Names that break naive code: right-to-left, combining marks, emoji, quotes,
/// markup, and one of exactly 256 characters (see `odd_name`).
pub(crate) const ODD_NAMES: &[&str] = &[
    "\u{202e}noitcerid esrever\u{202c}",
    "مدير النظام (IT)",
    "👩🏽‍🚀 Space Cadet 🚀",
    "Z\u{0351}\u{036b}a\u{0363}l\u{0369}go",
    "Robert'); DROP TABLE users;--",
    "<b>Bold</b> & \"quoted\"",
    "\u{feff}Byte Order Mark",
    "ﬁ Ligature ｆｕｌｌｗｉｄｔｈ",
    "tab\tand\nnewline",
    "İıŞş ẞß Ŀŀ",
];

/// The latin spelling of a `native|latin` word, or the word itself.
pub(crate) fn latin(word: &str) -> &str {
    word.split_once('|').map_or(word, |(_, latin)| latin)
}

/// The native spelling of a `native|latin` word, or the word itself.
pub(crate) fn native(word: &str) -> &str {
    word.split_once('|').map_or(word, |(native, _)| native)
}

/// What an address may contain: lower-case ASCII letters and digits.
pub(crate) fn slug(text: &str) -> String {
    let mut slug = String::with_capacity(text.len());
    for character in text.chars() {
        let plain = match character {
            'á' | 'à' | 'â' | 'ä' | 'ą' | 'Á' | 'Ä' => "a",
            'å' | 'Å' => "aa",
            'æ' => "ae",
            'ç' | 'Ç' | 'ć' => "c",
            'é' | 'è' | 'ê' | 'ë' | 'ę' | 'É' => "e",
            'í' | 'î' | 'ï' | 'ı' | 'İ' => "i",
            'ł' | 'Ł' => "l",
            'ñ' | 'ń' => "n",
            'ó' | 'ô' | 'ö' | 'ø' | 'Ö' | 'Ø' => "o",
            'ś' | 'ş' | 'Ş' | 'š' => "s",
            'ß' => "ss",
            'ú' | 'ü' | 'û' | 'Ü' => "u",
            'ż' | 'ź' | 'ž' => "z",
            'ğ' => "g",
            other if other.is_ascii_alphanumeric() => {
                slug.push(other.to_ascii_lowercase());
                continue;
            }
            _ => continue,
        };
        slug.push_str(plain);
    }
    slug
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leaves_something_for_an_address() {
        for culture in CULTURES {
            for name in culture.given.iter().chain(culture.surnames) {
                assert!(!slug(latin(name)).is_empty(), "{name}");
            }
        }
    }
}
