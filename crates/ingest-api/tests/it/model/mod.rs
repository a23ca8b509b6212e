//! Any interleaving, repetition and re-ordering of loads, with kills in between, ends in the state of a model in memory.
//!
//! `program` draws random programs, `resolve` makes calls of them that fit the moment, `run` sends the calls of a step at
//! once and looks for an order of them that explains the answers and the tables (`observe`) by the rules of the model
//! (`register`, `explain`, told from the contract and independent of the server's code).

mod action;
mod explain;
mod kind;
mod observe;
mod program;
mod reading;
mod records;
mod register;
mod resolve;
mod run;

#[cfg(target_os = "linux")]
mod kills;

use proptest::test_runner::{Config, TestError, TestRunner};
use sqlx::PgConnection;

use self::{
    program::{Blow, Step, program},
    run::{Run, Site},
};
use crate::{app::TestApp, client::Client, size::from_environment};

/// Programs of a run for CI. `PROPTEST_CASES` asks for more of everything; one of these is worth many pure ones.
const CASES: u32 = 32;
const CASES_PER_PURE_ONE: u32 = 8;

impl Site for TestApp {
    fn client(&self) -> Client {
        Client::new(self.base(), &self.key)
    }

    async fn connect(&mut self) -> PgConnection {
        Self::connect(self).await
    }

    async fn suffer(&mut self, _: Blow) {}
}

#[test]
fn whatever_callers_do_at_once_and_again_the_register_is_what_the_model_says_now_and_at_every_earlier_moment()
 {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let app = std::cell::RefCell::new(runtime.block_on(TestApp::start()));
    let cases = from_environment("PROPTEST_CASES")
        .map_or(CASES, |cases| CASES.max(cases / CASES_PER_PURE_ONE));
    let mut runner = TestRunner::new(Config {
        cases,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(&program(1..28), |steps| {
        let app = &mut *app.borrow_mut();
        runtime.block_on(async {
            let systems = [
                app.new_system(&unique()).await,
                app.new_system(&unique()).await,
            ];
            Run::new(app, systems).await.program(&steps).await;
        });
        Ok(())
    });
    report(outcome);
}

/// Fails with the smallest program that was found to fail.
fn report(outcome: Result<(), TestError<Vec<Step>>>) {
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, steps)) => {
            let steps: Vec<String> = steps.iter().map(|step| format!("{step:?}")).collect();
            panic!("{reason}\nafter\n{}", steps.join("\n"));
        }
        Err(error) => panic!("{error}"),
    }
}

/// A name for a system that no other program uses.
fn unique() -> String {
    uuid::Uuid::now_v7().to_string()
}
