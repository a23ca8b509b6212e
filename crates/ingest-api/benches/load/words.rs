//! The words that names and texts are made of.

use crate::generate::mix;

/// Long enough that no two texts of a tenant are likely to be the same.
pub const WORDS_LENGTH: usize = 1 << 20;

/// A long text (ASCII) of words.
pub fn words(length: usize) -> String {
    let mut text = String::with_capacity(length + 32);
    let mut luck = 0;
    while text.len() < length {
        luck = mix(luck);
        let words = [GIVEN_NAMES, SURNAMES, DEPARTMENTS, JOB_TITLES][luck as usize % 4];
        text.push_str(words[(luck >> 32) as usize % words.len()]);
        text.push(' ');
    }
    text
}

/// First names.
pub const GIVEN_NAMES: &[&str] = &[
    "Anna", "Bram", "Chidi", "Daan", "Elif", "Femke", "Goran", "Hanna", "Ivo", "Jana", "Kees",
    "Lotte", "Milan", "Noor", "Otto", "Pia", "Quinn", "Ruben", "Sanne", "Tariq",
];
/// Last names.
pub const SURNAMES: &[&str] = &[
    "Jansen", "de Vries", "Bakker", "Visser", "Smit", "Meijer", "Mulder", "Bos", "Peters", "Novak",
    "Yilmaz", "Schmidt", "Okafor", "Larsen", "Dubois", "Kowalska", "Maas", "Hendriks",
];
/// Departments.
pub const DEPARTMENTS: &[&str] = &[
    "Terminal Operations",
    "Finance",
    "Customs",
    "Human Resources",
    "Fleet Maintenance",
    "Information Technology",
    "Legal",
    "Warehouse North",
    "Warehouse South",
    "Sales",
];
/// Job titles.
pub const JOB_TITLES: &[&str] = &[
    "Crane Operator",
    "Accountant",
    "Customs Declarant",
    "Systems Engineer",
    "Planner",
    "Team Lead",
    "Security Analyst",
    "Mechanic",
    "Counsel",
    "Account Manager",
];
/// Offices.
pub const OFFICES: &[&str] = &[
    "Rotterdam 1.04",
    "Hamburg 3.12",
    "Antwerp 2.20",
    "Aarhus 0.07",
];
