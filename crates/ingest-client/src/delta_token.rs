//! Delta tokens: where the next readings of a system begin.

use contract::{DeltaToken, DeltaTokens, SaveDeltaToken, SystemId};
use reqwest::Method;

use crate::{ClientError, IngestClient, client::small_body, transport::Call};

fn path(system_id: SystemId, endpoint: &str) -> String {
    // Of the characters of an endpoint only this one means something in a path.
    let endpoint = endpoint.replace('/', "%2F");
    format!("crawlers/delta-tokens/{endpoint}?systemId={system_id}")
}

impl IngestClient {
    /// The delta tokens of a system, by endpoint.
    pub async fn delta_tokens(&self, system_id: SystemId) -> Result<Vec<DeltaToken>, ClientError> {
        let path = format!("crawlers/delta-tokens?systemId={system_id}");
        let call = Call::new("list delta tokens", Method::GET, path);
        let tokens: DeltaTokens = self.send(&call).await?.json()?;
        Ok(tokens.items)
    }

    /// The delta token of an endpoint; `None` where there is none.
    pub async fn delta_token(
        &self,
        system_id: SystemId,
        endpoint: &str,
    ) -> Result<Option<DeltaToken>, ClientError> {
        let call = Call::new("get delta token", Method::GET, path(system_id, endpoint));
        match self.send(&call).await.map_err(ClientError::from) {
            Ok(reply) => Ok(Some(reply.json()?)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Saves the delta token of an endpoint by itself. One that stands behind a load goes with the load's commit
    /// ([`BatchWriter::finish_with`](crate::BatchWriter::finish_with)).
    pub async fn save_delta_token(
        &self,
        system_id: SystemId,
        endpoint: &str,
        token: &SaveDeltaToken,
    ) -> Result<DeltaToken, ClientError> {
        let call = Call::new("save delta token", Method::PUT, path(system_id, endpoint))
            .body(small_body(token)?);
        self.send(&call).await?.json()
    }

    /// Forgets the delta token of an endpoint, if there is one.
    pub async fn delete_delta_token(
        &self,
        system_id: SystemId,
        endpoint: &str,
    ) -> Result<(), ClientError> {
        let path = path(system_id, endpoint);
        self.send(&Call::new("delete delta token", Method::DELETE, path))
            .await?;
        Ok(())
    }
}
