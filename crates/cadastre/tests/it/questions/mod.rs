//! The question catalogue, `docs/questions.md`: every question is asked as it stands there, by SQL and over the API, and
//! both answers are compared with one that is worked out from the simulated tenant and what was posted beside it.

mod answers;
mod ask;
mod catalogue;
mod facts;
mod tenant;
mod walk;
mod world;

use std::{collections::BTreeSet, fmt::Write as _};

use self::{
    answers::expected_of,
    ask::{Answer, Asker, Item, answer},
    catalogue::Question,
    world::World,
};

#[test]
fn there_are_thirty_questions_and_each_has_an_independent_answer() {
    let questions = catalogue::read();
    assert!(questions.len() >= 30, "{} questions", questions.len());
    for (place, question) in questions.iter().enumerate() {
        assert_eq!(question.id, format!("Q{:02}", place + 1), "in order");
        assert!(question.text.ends_with('?'), "{}", question.text);
        assert!(!question.meaning.is_empty(), "{} says nothing", question.id);
        assert!(!question.steps.is_empty(), "{} has no call", question.id);
    }
    let asked: BTreeSet<&str> = questions.iter().map(|one| one.id.as_str()).collect();
    let answered: BTreeSet<&str> = answers::ALL.iter().map(|(id, _)| *id).collect();
    assert_eq!(asked, answered);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_question_of_the_catalogue_is_answered_rightly_by_sql_and_by_api() {
    let world = World::build().await;
    let asker = Asker {
        register: &world.register,
        fillings: &world.fillings,
    };
    let mut wrong = String::new();
    for question in catalogue::read() {
        let expected = expected_of(&question.id, &world);
        println!("{} {}: {} rows", question.id, question.text, expected.len());
        let found = [
            ("SQL", asker.by_sql(&question).await),
            ("API", asker.by_api(&question).await),
        ];
        // What the SQL selects is what is asked for, of the API too.
        let fields = fields(&expected, &found[0].1);
        let expected = answer(&expected, &fields);
        if expected.is_empty() {
            let _ = writeln!(
                wrong,
                "{}: an answer without rows proves nothing",
                question.id
            );
        }
        for (way, found) in found {
            let _ = match found {
                Err(error) => writeln!(wrong, "{} by {way}: {error}", question.id),
                Ok(found) => report(
                    &mut wrong,
                    &question,
                    way,
                    &expected,
                    &answer(&found, &fields),
                ),
            };
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn fields(expected: &[Item], found: &Result<Vec<Item>, String>) -> BTreeSet<String> {
    let found = found.iter().flatten();
    let items = expected.iter().chain(found);
    items.flat_map(|item| item.keys().cloned()).collect()
}

fn report(
    wrong: &mut String,
    question: &Question,
    way: &str,
    expected: &Answer,
    found: &Answer,
) -> std::fmt::Result {
    if expected == found {
        return Ok(());
    }
    let missing: Vec<&String> = expected.difference(found).collect();
    let invented: Vec<&String> = found.difference(expected).collect();
    writeln!(
        wrong,
        "{} by {way}: of {} rows {} missing, {} too many\n  missing {:?}\n  too many {:?}",
        question.id,
        expected.len(),
        missing.len(),
        invented.len(),
        missing.iter().take(3).collect::<Vec<_>>(),
        invented.iter().take(3).collect::<Vec<_>>(),
    )
}
