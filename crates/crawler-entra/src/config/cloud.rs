//! Microsoft's clouds: where each signs in and where its Graph is.

use serde::{Deserialize, Serialize};
use url::Url;

/// The public cloud's Graph.
pub const GLOBAL_GRAPH: &str = "https://graph.microsoft.com";
/// The public cloud's sign-in host.
pub const GLOBAL_LOGIN: &str = "https://login.microsoftonline.com";

/// A cloud whose addresses are known. Any other is reached by naming both addresses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Cloud {
    /// The public cloud, US Government GCC included.
    #[default]
    Global,
    /// US Government L4 (GCC High).
    Usgov,
    /// US Government L5 (DoD).
    UsgovDod,
    /// China, operated by 21Vianet.
    China,
    /// France, operated by Bleu.
    Bleu,
    /// Germany, operated by Delos.
    Delos,
    /// The government of Singapore.
    Govsg,
}

impl Cloud {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Global,
        Self::Usgov,
        Self::UsgovDod,
        Self::China,
        Self::Bleu,
        Self::Delos,
        Self::Govsg,
    ];

    /// Where Graph is. Tokens, a managed identity's too, are asked for under this address.
    pub fn graph(self) -> Url {
        address(match self {
            Self::Global => GLOBAL_GRAPH,
            Self::Usgov => "https://graph.microsoft.us",
            Self::UsgovDod => "https://dod-graph.microsoft.us",
            Self::China => "https://microsoftgraph.chinacloudapi.cn",
            Self::Bleu => "https://graph.svc.sovcloud.fr",
            Self::Delos => "https://graph.svc.sovcloud.de",
            Self::Govsg => "https://graph.svc.sovcloud.sg",
        })
    }

    /// Where tokens are issued.
    pub fn login(self) -> Url {
        address(match self {
            Self::Global => GLOBAL_LOGIN,
            Self::Usgov | Self::UsgovDod => "https://login.microsoftonline.us",
            Self::China => "https://login.chinacloudapi.cn",
            Self::Bleu => "https://login.sovcloud-identity.fr",
            Self::Delos => "https://login.sovcloud-identity.de",
            Self::Govsg => "https://login.sovcloud-identity.sg",
        })
    }

    /// The name in configuration files and flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Usgov => "usgov",
            Self::UsgovDod => "usgov-dod",
            Self::China => "china",
            Self::Bleu => "bleu",
            Self::Delos => "delos",
            Self::Govsg => "govsg",
        }
    }
}

fn address(text: &str) -> Url {
    Url::parse(text).expect("the preset is a valid address")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cloud_has_addresses_of_its_own_and_one_name_everywhere() {
        for cloud in Cloud::ALL {
            assert_eq!(cloud.graph().scheme(), "https");
            assert_eq!(cloud.login().scheme(), "https");
            let name = serde_json::to_value(cloud).expect("a name");
            assert_eq!(name, cloud.name());
            let flag = <Cloud as clap::ValueEnum>::from_str(cloud.name(), false);
            assert_eq!(flag, Ok(cloud));
        }
        let graphs: std::collections::BTreeSet<Url> =
            Cloud::ALL.into_iter().map(Cloud::graph).collect();
        assert_eq!(graphs.len(), Cloud::ALL.len());
    }
}
