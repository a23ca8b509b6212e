//! Removing rows by name: what Graph calls removed and does not have any more.

use contract::{Completeness, IngestAnswer};
use uuid::Uuid;

use super::collection::Run;
use crate::{
    sink::{Sink, Target},
    stopping::Stopped,
};

/// Names the rows for removal in a load of changes; the register judges all of them together.
pub(super) async fn remove(
    run: &Run,
    target: Target,
    ids: &[Uuid],
) -> Result<IngestAnswer, Stopped> {
    let sink: Sink<()> = run.sink(target);
    let removed = async {
        sink.remove_all(ids).await?;
        sink.finish(Completeness::default()).await
    }
    .await;
    if removed.is_err() {
        sink.abandon().await;
    }
    removed
}
