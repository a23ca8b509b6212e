//! Built-in directory roles with their well-known template ids.

/// Template id, name, what it is for.
pub(crate) const BUILT_IN_ROLES: &[(u128, &str, &str)] = &[
    (
        0x62e90394_69f5_4237_9190_012177145e10,
        "Global Administrator",
        "Everything in the directory",
    ),
    (
        0xe8611ab8_c189_46e8_94e1_60213ab1f814,
        "Privileged Role Administrator",
        "Role assignments and PIM",
    ),
    (
        0x7be44c8a_adaf_4e2a_84d6_ab2649e08a13,
        "Privileged Authentication Administrator",
        "Authentication methods of any user",
    ),
    (
        0xfe930be7_5e62_47db_91af_98c3a49a38b1,
        "User Administrator",
        "Users and groups",
    ),
    (
        0x9b895d92_2cd3_44c7_9d02_a6ac2d5ea5c3,
        "Application Administrator",
        "Applications and their credentials",
    ),
    (
        0x158c047a_c907_4556_b7ef_446551a6b5f7,
        "Cloud Application Administrator",
        "Applications, without the proxy",
    ),
    (
        0xcf1c38e5_3621_4004_a7cb_879624dced7c,
        "Application Developer",
        "Registration of applications",
    ),
    (
        0xc4e39bd9_1100_46d3_8c65_fb160da0071f,
        "Authentication Administrator",
        "Authentication methods of ordinary users",
    ),
    (
        0x0526716b_113d_4c15_b2c8_68e3c22b9f80,
        "Authentication Policy Administrator",
        "Authentication method policies",
    ),
    (
        0x194ae4cb_b126_40b2_bd5b_6091b380977d,
        "Security Administrator",
        "Security features and policies",
    ),
    (
        0x5d6b6bb7_de71_4623_b4af_96380a352509,
        "Security Reader",
        "Reading security information",
    ),
    (
        0x5f2222b1_57c3_48ba_8ad5_d4759f1fde6f,
        "Security Operator",
        "Security events",
    ),
    (
        0xb1be1c3e_b65d_4f19_8427_f6fa0d97feb9,
        "Conditional Access Administrator",
        "Conditional access policies",
    ),
    (
        0x29232cdf_9323_42fd_ade2_1d097af3e4de,
        "Exchange Administrator",
        "Mail",
    ),
    (
        0xf28a1f50_f6e7_4571_818b_6a12f2af6b6c,
        "SharePoint Administrator",
        "Sites and files",
    ),
    (
        0x69091246_20e8_4a56_aa4d_066075b2a7a8,
        "Teams Administrator",
        "Teams",
    ),
    (
        0x3a2c62db_5318_420d_8d74_23affee5d9d5,
        "Intune Administrator",
        "Devices and their management",
    ),
    (
        0x729827e3_9c14_49f7_bb1b_9608f156bbb8,
        "Helpdesk Administrator",
        "Passwords of ordinary users",
    ),
    (
        0xfdd7a751_b60b_444a_984c_02652fe8fa1c,
        "Groups Administrator",
        "Groups and their settings",
    ),
    (
        0x4d6ac14f_3453_41d0_bef9_a3e0c569773a,
        "License Administrator",
        "Licences of users and groups",
    ),
    (
        0xb0f54661_2d74_4c50_afa3_1ec803f12efe,
        "Billing Administrator",
        "Purchases and subscriptions",
    ),
    (
        0x8ac3fc64_6eca_42ea_9e69_59f4c7b60eb2,
        "Hybrid Identity Administrator",
        "Synchronisation and federation",
    ),
    (
        0x45d8d3c5_c802_45c6_b32a_1d70b5e1e86e,
        "Identity Governance Administrator",
        "Access packages and reviews",
    ),
    (
        0xf2ef992c_3afb_46b9_b7cf_a126ee74c451,
        "Global Reader",
        "Reading everything",
    ),
    (
        0x88d8e3e3_8f55_4a1e_953a_9b9898b8876b,
        "Directory Readers",
        "Reading basic directory information",
    ),
    (
        0x9360feb5_f418_4baa_8175_e2a00bac4301,
        "Directory Writers",
        "Writing basic directory information",
    ),
    (
        0x95e79109_95c0_4d8e_aee3_d01accf2d47b,
        "Guest Inviter",
        "Inviting guests",
    ),
    (
        0x966707d0_3269_4727_9be2_8c3a10f19b9d,
        "Password Administrator",
        "Passwords of ordinary users and its peers",
    ),
    (
        0x4a5d8f65_41da_4de4_8968_e035b65339cf,
        "Reports Reader",
        "Sign-in and audit reports",
    ),
    (
        0x17315797_102d_40b4_93e0_432062caca18,
        "Compliance Administrator",
        "Compliance features",
    ),
    (
        0x7698a772_787b_4ac8_901f_60d6b08affd2,
        "Cloud Device Administrator",
        "Devices in the directory",
    ),
    (
        0x8329153b_31d0_4727_b945_745eb3bc5f31,
        "Domain Name Administrator",
        "Domain names",
    ),
    (
        0x790c1fb9_7f7d_4f88_86a1_ef1f95c05c1b,
        "Message Center Reader",
        "Service messages",
    ),
    (
        0xf023fd81_a637_4b56_95fd_791ac0226033,
        "Service Support Administrator",
        "Service health and support requests",
    ),
];

/// Whether Graph (beta) counts the built-in role as privileged.
pub(crate) fn is_privileged(name: &str) -> bool {
    const PRIVILEGED: &[&str] = &[
        "Global Administrator",
        "Privileged Role Administrator",
        "Privileged Authentication Administrator",
        "User Administrator",
        "Application Administrator",
        "Cloud Application Administrator",
        "Application Developer",
        "Authentication Administrator",
        "Security Administrator",
        "Security Reader",
        "Security Operator",
        "Conditional Access Administrator",
        "Intune Administrator",
        "Helpdesk Administrator",
        "Hybrid Identity Administrator",
        "Global Reader",
        "Directory Writers",
        "Password Administrator",
        "Cloud Device Administrator",
        "Domain Name Administrator",
    ];
    PRIVILEGED.contains(&name)
}
