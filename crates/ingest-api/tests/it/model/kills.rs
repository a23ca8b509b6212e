//! The same programs, while the server and PostgreSQL are killed.

use std::time::{Duration, Instant};

use proptest::test_runner::{Config, TestRunner};
use sqlx::PgConnection;

use super::{
    program::{Blow, program},
    run::{Run, Site},
};
use crate::{client::Client, hostile::Register, size::from_environment};

/// Programs of a run for CI: kills cost time. `CADASTRE_KILL_CASES` asks for another number.
const CASES: u32 = 2;

/// A register that suffers what the program says, so many times at most.
struct Target {
    register: Register,
    blows_left: u32,
    kills: u32,
}

impl Site for Target {
    fn client(&self) -> Client {
        self.register.client.clone()
    }

    async fn connect(&mut self) -> PgConnection {
        self.register.postgres.connect().await
    }

    async fn suffer(&mut self, blow: Blow) {
        let (Blow::Server { after_ms } | Blow::Postgres { after_ms }) = blow else {
            return;
        };
        if self.blows_left == 0 {
            return;
        }
        self.blows_left -= 1;
        self.kills += 1;
        tokio::time::sleep(Duration::from_millis(after_ms)).await;
        if let Blow::Server { .. } = blow {
            self.register.server.kill();
            self.register.server.start_again().await;
        } else {
            self.register.postgres.kill().await;
            self.register.postgres.start_again().await;
        }
    }
}

#[test]
fn whatever_is_killed_meanwhile_the_register_is_what_the_model_says() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let target = Target {
        register: runtime.block_on(Register::start()),
        blows_left: 0,
        kills: 0,
    };
    let target = std::cell::RefCell::new(target);
    let began = Instant::now();
    let minutes = from_environment("CADASTRE_SOAK_MINUTES");
    let cases = from_environment("CADASTRE_KILL_CASES").unwrap_or(CASES);
    let mut done = 0;
    let is_more_wanted = |done: u32| match minutes {
        Some(minutes) => began.elapsed() < Duration::from_secs(u64::from(minutes) * 60),
        None => done < cases,
    };
    while is_more_wanted(done) {
        run_one(&runtime, &target);
        done += 1;
        println!(
            "{done} programs, {} kills, {:?}",
            target.borrow().kills,
            began.elapsed()
        );
    }
}

/// One random program. It is printed when it fails, not made smaller: that would take longer than it helps.
fn run_one(runtime: &tokio::runtime::Runtime, target: &std::cell::RefCell<Target>) {
    let mut runner = TestRunner::new(Config {
        cases: 1,
        max_shrink_iters: 0,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(&program(10..24), |steps| {
        let target = &mut *target.borrow_mut();
        target.blows_left = 4;
        runtime.block_on(async {
            let register = &target.register;
            let systems = [
                register.new_system(&super::unique()).await,
                register.new_system(&super::unique()).await,
            ];
            Run::new(target, systems).await.program(&steps).await;
        });
        Ok(())
    });
    super::report(outcome);
}
