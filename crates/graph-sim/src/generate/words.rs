//! Word lists: invented, and from several cultures so that sorting, searching
//! and display meet more than ASCII.

/// A place of work: office code, city, country, usage location, language, dial prefix.
pub(crate) struct Office {
    pub(crate) code: &'static str,
    pub(crate) city: &'static str,
    pub(crate) country: &'static str,
    pub(crate) usage_location: &'static str,
    pub(crate) language: &'static str,
    pub(crate) dial: &'static str,
    pub(crate) culture: usize,
}

const fn office(
    place: (&'static str, &'static str, &'static str),
    locale: (&'static str, &'static str, &'static str),
    culture: usize,
) -> Office {
    Office {
        code: place.0,
        city: place.1,
        country: place.2,
        usage_location: locale.0,
        language: locale.1,
        dial: locale.2,
        culture,
    }
}

pub(crate) const OFFICES: &[Office] = &[
    office(
        ("AMS", "Amsterdam", "Netherlands"),
        ("NL", "nl-NL", "+31 20"),
        0,
    ),
    office(
        ("UTR", "Utrecht", "Netherlands"),
        ("NL", "nl-NL", "+31 30"),
        0,
    ),
    office(("MUC", "München", "Germany"), ("DE", "de-DE", "+49 89"), 1),
    office(("LYS", "Lyon", "France"), ("FR", "fr-FR", "+33 4"), 2),
    office(("MAD", "Madrid", "Spain"), ("ES", "es-ES", "+34 91"), 3),
    office(("GDN", "Gdańsk", "Poland"), ("PL", "pl-PL", "+48 58"), 4),
    office(("AAR", "Aarhus", "Denmark"), ("DK", "da-DK", "+45 86"), 5),
    office(
        ("IST", "İstanbul", "Türkiye"),
        ("TR", "tr-TR", "+90 212"),
        6,
    ),
    office(("PNQ", "Pune", "India"), ("IN", "en-IN", "+91 20"), 7),
    office(("OSA", "Osaka", "Japan"), ("JP", "ja-JP", "+81 6"), 8),
    office(
        ("DXB", "Dubai", "United Arab Emirates"),
        ("AE", "ar-AE", "+971 4"),
        9,
    ),
    office(("TOR", "Toronto", "Canada"), ("CA", "en-CA", "+1 416"), 10),
];

/// Department, its short form, and job titles from the top down.
pub(crate) struct Department {
    pub(crate) name: &'static str,
    pub(crate) division: &'static str,
    pub(crate) titles: &'static [&'static str],
    pub(crate) systems: &'static [&'static str],
}

pub(crate) const DEPARTMENTS: &[Department] = &[
    Department {
        name: "Finance",
        division: "Corporate",
        titles: &[
            "Finance Director",
            "Financial Controller",
            "Treasury Analyst",
            "Accounts Payable Clerk",
            "Payroll Specialist",
        ],
        systems: &["Ledger", "Invoices", "Treasury", "Payroll"],
    },
    Department {
        name: "Human Resources",
        division: "Corporate",
        titles: &[
            "HR Director",
            "HR Business Partner",
            "Recruiter",
            "Learning Advisor",
            "HR Administrator",
        ],
        systems: &["Workforce", "Recruiting", "Learning"],
    },
    Department {
        name: "IT",
        division: "Technology",
        titles: &[
            "IT Director",
            "Platform Engineer",
            "Identity Engineer",
            "Service Desk Agent",
            "Network Engineer",
        ],
        systems: &[
            "ServiceDesk",
            "Backup",
            "VPN",
            "Monitoring",
            "Virtualisation",
        ],
    },
    Department {
        name: "Engineering",
        division: "Technology",
        titles: &[
            "Engineering Manager",
            "Principal Engineer",
            "Software Engineer",
            "Test Engineer",
            "Release Engineer",
        ],
        systems: &[
            "SourceCode",
            "BuildFarm",
            "ArtifactStore",
            "Staging",
            "Production",
        ],
    },
    Department {
        name: "Sales",
        division: "Commercial",
        titles: &[
            "Sales Director",
            "Key Account Manager",
            "Account Executive",
            "Sales Representative",
            "Bid Writer",
        ],
        systems: &["CRM", "Quotes", "PriceBook"],
    },
    Department {
        name: "Marketing",
        division: "Commercial",
        titles: &[
            "Marketing Director",
            "Brand Manager",
            "Content Editor",
            "Campaign Analyst",
            "Event Coordinator",
        ],
        systems: &["WebShop", "Newsletter", "AssetLibrary"],
    },
    Department {
        name: "Logistics",
        division: "Operations",
        titles: &[
            "Logistics Director",
            "Warehouse Manager",
            "Route Planner",
            "Customs Officer",
            "Forklift Driver",
        ],
        systems: &["Warehouse", "Routing", "Customs"],
    },
    Department {
        name: "Operations",
        division: "Operations",
        titles: &[
            "Operations Director",
            "Plant Manager",
            "Shift Lead",
            "Process Technician",
            "Maintenance Mechanic",
        ],
        systems: &["Scada", "Maintenance", "ShiftPlan"],
    },
    Department {
        name: "Legal",
        division: "Corporate",
        titles: &[
            "General Counsel",
            "Senior Counsel",
            "Contract Manager",
            "Privacy Officer",
            "Paralegal",
        ],
        systems: &["Contracts", "Litigation"],
    },
    Department {
        name: "Procurement",
        division: "Operations",
        titles: &[
            "Procurement Director",
            "Category Manager",
            "Strategic Buyer",
            "Operational Buyer",
            "Vendor Analyst",
        ],
        systems: &["Tenders", "Catalogue", "VendorPortal"],
    },
    Department {
        name: "Research",
        division: "Technology",
        titles: &[
            "Research Director",
            "Lead Scientist",
            "Data Scientist",
            "Laboratory Technician",
            "Research Fellow",
        ],
        systems: &["LabData", "Compute", "Samples"],
    },
    Department {
        name: "Customer Service",
        division: "Commercial",
        titles: &[
            "Service Director",
            "Service Team Lead",
            "Support Specialist",
            "Complaints Handler",
            "Service Agent",
        ],
        systems: &["Tickets", "Telephony", "KnowledgeBase"],
    },
];

pub(crate) const GROUP_ACTIONS: &[&str] = &[
    "Readers",
    "Writers",
    "Approvers",
    "Admins",
    "Users",
    "Auditors",
    "Operators",
    "Owners",
    "Contributors",
    "Reviewers",
];

pub(crate) const PROJECTS: &[&str] = &[
    "Aurora", "Basalt", "Compass", "Dovetail", "Estuary", "Foxglove", "Granite", "Heron", "Isobar",
    "Juniper", "Kestrel", "Lantern", "Meridian", "Nimbus", "Osprey", "Pinnacle",
];

pub(crate) const PARTNERS: &[&str] = &[
    "halvorsen-audit.example",
    "tulipcargo.example",
    "brightforge.example",
    "sigma-lawyers.example",
    "nordlys-it.example",
    "cedarconsult.example",
];

pub(crate) const APPLICATIONS: &[&str] = &[
    "Ledger",
    "Expense Desk",
    "Route Planner",
    "Warehouse Portal",
    "Tender Hub",
    "Lab Notebook",
    "Shift Planner",
    "Contract Vault",
    "Ticket Desk",
    "Price Book",
    "Learning Campus",
    "Badge Office",
    "Fleet Monitor",
    "Invoice Robot",
    "Quote Builder",
    "Recruiting Board",
];

pub(crate) const FIRST_PARTY: &[&str] = &[
    "Microsoft Graph",
    "Office 365 Exchange Online",
    "Office 365 SharePoint Online",
    "Microsoft Intune",
    "Azure Key Vault",
    "Microsoft Teams Services",
    "Power BI Service",
];

pub(crate) const AGENTS: &[&str] = &[
    "invoice-triage",
    "route-advisor",
    "helpdesk-first-line",
    "tender-summariser",
    "shift-balancer",
    "contract-reader",
    "lab-assistant",
    "stock-forecaster",
];

pub(crate) const WORKLOADS: &[&str] = &[
    "func-invoices",
    "vm-routing",
    "aks-staging",
    "app-portal",
    "logic-onboarding",
    "adf-warehouse",
    "func-badges",
    "vm-backup",
];
