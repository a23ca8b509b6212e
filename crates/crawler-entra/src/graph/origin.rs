//! The one place that the token may go to.

use url::Url;

use super::GraphError;

/// A version of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    Beta,
}

impl Version {
    const fn segment(self) -> &'static str {
        match self {
            Self::V1 => "v1.0",
            Self::Beta => "beta",
        }
    }
}

/// The configured base address: scheme, host, port and, where Graph is behind a path, the path.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    base: Url,
}

impl Origin {
    pub fn new(base: &Url) -> Self {
        let mut base = base.clone();
        let path = format!("{}/", base.path().trim_end_matches('/'));
        base.set_path(&path);
        Self { base }
    }

    /// The address of a resource, such as `users?$top=999`.
    pub fn address(&self, version: Version, relative: &str) -> Result<Url, GraphError> {
        let relative = relative.trim_start_matches('/');
        self.base
            .join(&format!("{}/{relative}", version.segment()))
            .map_err(|_| GraphError::ForeignLink)
    }

    /// Reads a link that Graph sent. It is refused unless it leads to where the token belongs: the same scheme, host and
    /// port, below the same path, and with nothing in it that could make another host of it.
    pub fn own_link(&self, link: &str) -> Result<Url, GraphError> {
        let url = Url::parse(link).map_err(|_| GraphError::ForeignLink)?;
        let is_ours = url.origin() == self.base.origin()
            && url.username().is_empty()
            && url.password().is_none()
            && url.path().starts_with(self.base.path());
        if is_ours {
            Ok(url)
        } else {
            Err(GraphError::ForeignLink)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        Origin::new(&"https://graph.microsoft.com".parse().expect("url"))
    }

    #[test]
    fn a_link_back_to_graph_is_followed_as_it_is() {
        let link = "https://graph.microsoft.com/v1.0/users?$skiptoken=RFNwdAIAAQ%20x&$top=999";
        assert_eq!(origin().own_link(link).expect("ours").as_str(), link);
        assert!(
            origin()
                .own_link("https://GRAPH.microsoft.com:443/beta/x")
                .is_ok()
        );
    }

    #[test]
    fn a_link_to_any_other_place_is_refused() {
        for link in [
            "https://graph.microsoft.com.evil.test/v1.0/users",
            "https://evil.test/v1.0/users",
            "http://graph.microsoft.com/v1.0/users",
            "https://graph.microsoft.com:8443/v1.0/users",
            "https://graph.microsoft.com@evil.test/v1.0/users",
            "https://user@graph.microsoft.com/v1.0/users",
            "https://:secret@graph.microsoft.com/v1.0/users",
            "https://evil.test\\@graph.microsoft.com/",
            "//evil.test/v1.0/users",
            "/v1.0/users",
            "file:///etc/passwd",
            "https://169.254.169.254/metadata",
            "",
        ] {
            assert_eq!(
                origin().own_link(link),
                Err(GraphError::ForeignLink),
                "{link}"
            );
        }
    }

    #[test]
    fn a_base_path_is_part_of_the_origin() {
        let behind = Origin::new(&"https://gate.example/graph".parse().expect("url"));
        let users = behind.address(Version::V1, "/users?$top=5").expect("joins");
        assert_eq!(
            users.as_str(),
            "https://gate.example/graph/v1.0/users?$top=5"
        );
        assert!(behind.own_link(users.as_str()).is_ok());
        assert!(
            behind
                .own_link("https://gate.example/other/v1.0/users")
                .is_err()
        );
        assert!(
            behind
                .own_link("https://gate.example/graph/../other")
                .is_err()
        );
    }
}
