//! Service principals and the application registrations behind some of them.

use uuid::Uuid;

use super::names::slug;
use super::time::{days_from_today, midnight_from_today};
use super::words::{AGENTS, APPLICATIONS, FIRST_PARTY, WORKLOADS};
use super::{DEFAULT_DOMAIN, MICROSOFT_TENANT};
use crate::model::{
    AppRole, Application, Credential, ServicePrincipal, ServicePrincipalClass, ServicePrincipalType,
};
use crate::random::Random;

/// Application id of Microsoft Graph itself, the same in every tenant.
pub(super) const MICROSOFT_GRAPH: Uuid = Uuid::from_u128(0x0000_0003_0000_0000_c000_0000_0000_0000);

/// Makes service principals one by one, in a fixed rotation of kinds so that
/// even a handful contains all of them.
pub(crate) struct PrincipalMaker {
    random: Random,
    tenant_id: Uuid,
    serial: usize,
    blueprint: Uuid,
}

impl PrincipalMaker {
    pub(crate) fn new(tenant_id: Uuid, mut random: Random) -> Self {
        let blueprint = random.uuid();
        Self {
            random,
            tenant_id,
            serial: 0,
            blueprint,
        }
    }

    /// For making more of them later: goes on where the rotation stands.
    pub(crate) fn resume(tenant_id: Uuid, random: Random, made: usize) -> Self {
        Self {
            serial: made,
            ..Self::new(tenant_id, random)
        }
    }

    /// The next service principal and, for our own applications, its registration.
    pub(crate) fn make(&mut self) -> (ServicePrincipal, Option<Application>) {
        let turn = self.serial % 10;
        self.serial += 1;
        match turn {
            0 => self.blueprint(),
            1 | 7 => (self.managed_identity(), None),
            2 | 6 => (self.agent(), None),
            3 => (self.first_party(), None),
            5 => (self.legacy(), None),
            _ => self.own_application(),
        }
    }

    fn blank(&mut self, name: String, kind: ServicePrincipalType) -> ServicePrincipal {
        ServicePrincipal {
            id: self.random.uuid(),
            class: ServicePrincipalClass::Plain,
            app_id: Some(self.random.uuid()),
            app_display_name: Some(name.clone()),
            display_name: name,
            service_principal_type: kind,
            account_enabled: Some(!self.random.chance(0.05)),
            created_by_app_id: None,
            app_owner_organization_id: None,
            app_role_assignment_required: false,
            sign_in_audience: Some("AzureADMyOrg".to_owned()),
            description: None,
            homepage: None,
            notes: None,
            tags: Vec::new(),
            service_principal_names: Vec::new(),
            alternative_names: Vec::new(),
            reply_urls: Vec::new(),
            app_roles: Vec::new(),
            password_credentials: Vec::new(),
            key_credentials: Vec::new(),
            agent_identity_blueprint_id: None,
            created: None,
        }
    }

    fn own_application(&mut self) -> (ServicePrincipal, Option<Application>) {
        let name = format!("{} {}", self.random.pick(APPLICATIONS), self.serial);
        let mut principal = self.blank(name.clone(), ServicePrincipalType::Application);
        let app_id = self.random.uuid();
        let address = slug(&name);
        principal.app_id = Some(app_id);
        principal.app_owner_organization_id = Some(self.tenant_id);
        principal.app_role_assignment_required = self.random.chance(0.5);
        principal.homepage = Some(format!("https://{address}.{DEFAULT_DOMAIN}"));
        principal.tags = vec!["WindowsAzureActiveDirectoryIntegratedApp".to_owned()];
        principal.service_principal_names = vec![format!("api://{address}"), app_id.to_string()];
        principal.reply_urls = vec![format!("https://{address}.{DEFAULT_DOMAIN}/signin")];
        principal.app_roles = self.app_roles();
        let mut application = self.registration(app_id, name, false);
        application.identifier_uris = vec![format!("api://{address}")];
        application.redirect_uris.clone_from(&principal.reply_urls);
        application.app_roles.clone_from(&principal.app_roles);
        (principal, Some(application))
    }

    fn app_roles(&mut self) -> Vec<AppRole> {
        ["Reader", "Approver", "Administrator"][..self.random.below(4)]
            .iter()
            .map(|role| AppRole {
                id: self.random.uuid(),
                display_name: (*role).to_owned(),
                value: Some(format!("App.{role}")),
                description: format!("{role} of the application"),
                allowed_member_types: vec!["User".to_owned(), "Application".to_owned()],
                is_enabled: true,
            })
            .collect()
    }

    fn registration(
        &mut self,
        app_id: Uuid,
        name: String,
        is_agent_blueprint: bool,
    ) -> Application {
        let secret = self.random.chance(0.6).then(|| {
            let start = days_from_today(&mut self.random, -700, -10);
            Credential {
                key_id: self.random.uuid(),
                display_name: Some("pipeline".to_owned()),
                hint: Some(format!("{:03x}", self.random.below(4_096))),
                start,
                end: start + chrono::TimeDelta::days(730),
            }
        });
        let certificate = self.random.chance(0.3).then(|| Credential {
            key_id: self.random.uuid(),
            display_name: Some(format!("CN={}", slug(&name))),
            hint: None,
            start: midnight_from_today(&mut self.random, -300, -1),
            end: midnight_from_today(&mut self.random, 10, 600),
        });
        Application {
            id: self.random.uuid(),
            app_id,
            is_agent_blueprint,
            display_name: name,
            description: None,
            created: days_from_today(&mut self.random, -2_000, -5),
            sign_in_audience: "AzureADMyOrg".to_owned(),
            publisher_domain: DEFAULT_DOMAIN.to_owned(),
            identifier_uris: Vec::new(),
            service_management_reference: Some(format!("SVC-{}", 10_000 + self.serial)),
            tags: Vec::new(),
            app_roles: Vec::new(),
            password_credentials: secret.into_iter().collect(),
            key_credentials: certificate.into_iter().collect(),
            redirect_uris: Vec::new(),
            required_resource_access: Vec::new(),
        }
    }

    fn first_party(&mut self) -> ServicePrincipal {
        let turn = self.serial / 10;
        let name = FIRST_PARTY[turn % FIRST_PARTY.len()];
        let mut principal = self.blank(name.to_owned(), ServicePrincipalType::Application);
        if turn == 0 {
            principal.app_id = Some(MICROSOFT_GRAPH);
        }
        principal.app_owner_organization_id = Some(MICROSOFT_TENANT);
        principal.sign_in_audience = Some("AzureADMultipleOrgs".to_owned());
        principal
    }

    fn legacy(&mut self) -> ServicePrincipal {
        let name = format!("Timekeeping {}", 1_990 + self.serial % 30);
        let mut principal = self.blank(name, ServicePrincipalType::Legacy);
        principal.tags = vec!["HideApp".to_owned()];
        let start = midnight_from_today(&mut self.random, -4_000, -3_000);
        principal.password_credentials = vec![Credential {
            key_id: self.random.uuid(),
            display_name: None,
            hint: None,
            start,
            end: start + chrono::TimeDelta::days(3_650),
        }];
        principal
    }

    fn managed_identity(&mut self) -> ServicePrincipal {
        let name = format!("{}-{:02}", self.random.pick(WORKLOADS), self.serial);
        let explicit = self.random.chance(0.4);
        let mut principal = self.blank(name.clone(), ServicePrincipalType::ManagedIdentity);
        let subscription = self.random.uuid();
        let resource = if explicit {
            format!("Microsoft.ManagedIdentity/userAssignedIdentities/{name}")
        } else {
            format!("Microsoft.Web/sites/{name}")
        };
        principal.app_display_name = None;
        principal.sign_in_audience = None;
        principal.alternative_names = vec![
            format!("isExplicit={}", if explicit { "True" } else { "False" }),
            format!("/subscriptions/{subscription}/resourcegroups/rg-{name}/providers/{resource}"),
        ];
        principal.service_principal_names = principal.app_id.iter().map(Uuid::to_string).collect();
        principal
    }

    fn blueprint(&mut self) -> (ServicePrincipal, Option<Application>) {
        let name = format!("{} blueprint", self.random.pick(AGENTS));
        // The first blueprint is the one the first agents come from.
        if self.serial > 1 {
            self.blueprint = self.random.uuid();
        }
        let mut principal = self.blank(name.clone(), ServicePrincipalType::Application);
        principal.class = ServicePrincipalClass::AgentIdentityBlueprintPrincipal;
        principal.app_id = Some(self.blueprint);
        principal.app_owner_organization_id = Some(self.tenant_id);
        let application = self.registration(self.blueprint, name, true);
        (principal, Some(application))
    }

    fn agent(&mut self) -> ServicePrincipal {
        let name = format!("{}-{:02}", self.random.pick(AGENTS), self.serial);
        let mut principal = self.blank(name, ServicePrincipalType::ServiceIdentity);
        principal.class = ServicePrincipalClass::AgentIdentity;
        principal.app_id = None;
        principal.app_display_name = None;
        principal.sign_in_audience = None;
        principal.app_owner_organization_id = Some(self.tenant_id);
        principal.created_by_app_id = Some(self.blueprint);
        principal.agent_identity_blueprint_id = Some(self.blueprint);
        principal.created = Some(days_from_today(&mut self.random, -150, -1));
        principal
    }
}
