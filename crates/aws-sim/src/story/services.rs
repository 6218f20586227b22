//! The eleven services: where they run, what they are like, and the habits of their teams.

use super::calendar;
use super::native::{NativeHabits, Way};
use super::team::Team;

/// One region with its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) region: &'static str,
    pub(super) cluster: &'static str,
}

/// Where the story plays.
pub(super) const PLACES: [&Place; 2] = [&EUROPE, &AMERICA];

const EUROPE: Place = Place {
    region: "eu-central-1",
    cluster: "prod-eu",
};
const AMERICA: Place = Place {
    region: "us-east-1",
    cluster: "prod-us",
};

pub(super) const CANARY: &str = "CodeDeployDefault.ECSCanary10Percent5Minutes";
const LONG_CANARY: &str = "CodeDeployDefault.ECSCanary10Percent15Minutes";
const LINEAR: &str = "CodeDeployDefault.ECSLinear10PercentEvery1Minutes";
const SLOW_LINEAR: &str = "CodeDeployDefault.ECSLinear10PercentEvery3Minutes";
const AT_ONCE: &str = "CodeDeployDefault.ECSAllAtOnce";

/// A hook at which people decide.
pub(super) const GATE: &str = "switchback-relay";
/// Tests that pass in half a minute.
const SMOKE_TEST: &str = "sim-succeed-after-30";
/// Tests that fail.
const FAILING_TEST: &str = "sim-fail";

pub(super) type Pairs = &'static [(&'static str, &'static str)];

/// What one release changes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) what: &'static str,
    /// What changes in the environment and stays.
    pub(super) lasting: Pairs,
}

const fn change(what: &'static str, lasting: Pairs) -> Change {
    Change { what, lasting }
}

/// One service and what its team usually does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Habits {
    pub(super) place: &'static Place,
    pub(super) service: &'static str,
    pub(super) repository: &'static str,
    pub(super) port: i64,
    pub(super) tasks: i64,
    pub(super) cpu: &'static str,
    pub(super) memory: &'static str,
    pub(super) log_router: bool,
    /// Errors in one minute, over both target groups, at which the alarm goes off.
    pub(super) alarm_at: f64,
    pub(super) environment: Pairs,
    pub(super) secrets: Pairs,
    pub(super) version: (u32, u32),
    pub(super) strategy: &'static str,
    /// A lifecycle event and the function that runs there.
    pub(super) hook: Option<(&'static str, &'static str)>,
    /// How long the old tasks are kept after the shift.
    pub(super) bake_minutes: i64,
    /// How long a deployment waits for somebody to reroute the traffic; 0 does not wait.
    pub(super) ready_wait_minutes: i64,
    /// Releases in an ordinary week.
    pub(super) a_week: f64,
    pub(super) changes: &'static [Change],
    pub(super) incidents: &'static [Incident],
    /// What was started shortly before the account is looked at.
    pub(super) opening: Option<Release>,
    /// What is released in turn from then on.
    pub(super) future: &'static [Release],
    /// How long the service rests between two releases from then on.
    pub(super) rest_minutes: i64,
}

/// Something that went wrong, so many days before the account is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Incident {
    pub(super) days_before: i64,
    pub(super) release: Release,
    /// What the team did about it later, if anything: minutes after the release was started.
    pub(super) repair: Option<(i64, Release)>,
}

/// One deployment that a team has in mind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Release {
    pub(super) when: When,
    pub(super) strategy: &'static str,
    pub(super) hook: Option<(&'static str, &'static str)>,
    pub(super) what: &'static str,
    /// What changes in the environment and stays.
    pub(super) lasting: Pairs,
    /// What is wrong with this very revision and is gone in the next.
    pub(super) fleeting: Pairs,
    /// The end of the image's tag, in place of a commit.
    pub(super) commit: Option<&'static str>,
    /// The revision that served before the present one is deployed again, and nothing new is made.
    pub(super) again: bool,
    /// What a person does while it is under way: minutes after it was started.
    pub(super) then: Option<(i64, Act)>,
}

/// When a release starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// At this moment, in milliseconds since 1970 UTC.
    At(i64),
    /// So that production traffic (or the wait before it) is due about so many seconds before the
    /// account is looked at: new tasks take a minute more or less to come up.
    TrafficSecondsBefore(i64),
    /// After the rest that follows the deployment before.
    Rested,
}

/// What a person does with a deployment that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Stops it and has CodeDeploy put the old revision back.
    Stop,
    /// Reroutes the traffic of a deployment that waits for it.
    Continue,
}

pub(super) const fn release(when: When, strategy: &'static str, what: &'static str) -> Release {
    Release {
        when,
        strategy,
        hook: None,
        what,
        lasting: &[],
        fleeting: &[],
        commit: None,
        again: false,
        then: None,
    }
}

const fn next(strategy: &'static str, what: &'static str) -> Release {
    release(When::Rested, strategy, what)
}

impl Release {
    const fn hook(mut self, event: &'static str, function: &'static str) -> Release {
        self.hook = Some((event, function));
        self
    }

    const fn lasting(mut self, lasting: Pairs) -> Release {
        self.lasting = lasting;
        self
    }

    const fn fleeting(mut self, fleeting: Pairs) -> Release {
        self.fleeting = fleeting;
        self
    }

    const fn commit(mut self, commit: &'static str) -> Release {
        self.commit = Some(commit);
        self
    }

    const fn then(mut self, minutes: i64, act: Act) -> Release {
        self.then = Some((minutes, act));
        self
    }

    const fn again(mut self) -> Release {
        self.again = true;
        self
    }
}

/// Every team, with its month before `start_ms` planned from `seed`.
pub(super) fn teams(seed: u64, start_ms: i64) -> Vec<Team> {
    ALL.iter()
        .map(|habits| {
            let mut random = calendar::random(seed, habits.service);
            let past = calendar::month(habits, start_ms, &mut random);
            Team::new(*habits, past, random, start_ms)
        })
        .collect()
}

/// The services that ECS deploys itself.
pub(super) const NATIVE: [NativeHabits; 3] = [INVOICES, REVIEWS, WISHLIST];

/// Tasks replace tasks; one is under way when the account is looked at.
const INVOICES: NativeHabits = NativeHabits {
    place: &EUROPE,
    service: "invoices",
    port: 8080,
    tasks: 6,
    way: Way::Rolling,
    environment: &[
        ("APP_ENV", "production"),
        ("PDF_WORKERS", "4"),
        ("SIM_RPS", "18"),
        ("SIM_ERROR_RATE", "0.0006"),
        ("SIM_P50_MS", "120"),
        ("SIM_P99_MS", "900"),
    ],
    every_days: 4,
    changes: &[
        &[("PDF_WORKERS", "8")],
        &[("EINVOICE_FORMAT", "xrechnung-3")],
        &[("ARCHIVE_BUCKET", "invoices-archive-eu")],
    ],
    bad: (6, &[("SIM_CRASH_ON_START", "1")]),
    opens_s: 50,
    rest_minutes: 55,
};

/// Each quarter of the traffic waits for people.
const REVIEWS: NativeHabits = NativeHabits {
    place: &EUROPE,
    service: "reviews",
    port: 8080,
    tasks: 4,
    way: Way::LinearWithPauses,
    environment: &[
        ("APP_ENV", "production"),
        ("MODERATION", "manual"),
        ("SIM_RPS", "45"),
        ("SIM_ERROR_RATE", "0.0009"),
        ("SIM_P50_MS", "38"),
        ("SIM_P99_MS", "260"),
    ],
    every_days: 3,
    changes: &[
        &[("MODERATION", "assisted")],
        &[("REVIEW_IMAGES", "on")],
        &[("SORT_DEFAULT", "helpful")],
        &[("TRANSLATIONS", "on")],
    ],
    bad: (9, &[("SIM_UNHEALTHY", "1")]),
    opens_s: 240,
    rest_minutes: 35,
};

/// A tenth first.
const WISHLIST: NativeHabits = NativeHabits {
    place: &AMERICA,
    service: "wishlist",
    port: 8080,
    tasks: 3,
    way: Way::Canary,
    environment: &[
        ("APP_ENV", "production"),
        ("SIM_RPS", "30"),
        ("SIM_ERROR_RATE", "0.0004"),
        ("SIM_P50_MS", "25"),
        ("SIM_P99_MS", "180"),
    ],
    every_days: 5,
    changes: &[
        &[("SHARE_LINKS", "on")],
        &[("PRICE_ALERTS", "daily")],
        &[("MAX_ITEMS", "500")],
    ],
    bad: (4, &[("SIM_ERROR_RATE", "0.9")]),
    opens_s: 60 * 60 * 9,
    rest_minutes: 180,
};

const ALL: [Habits; 8] = [
    CHECKOUT_API,
    PAYMENTS,
    CATALOG,
    SEARCH,
    CUSTOMER_PROFILE,
    STOREFRONT,
    RECOMMENDATIONS,
    SHIPPING_RATES,
];

/// Releases about twice a week and carefully; nothing moves when the account is looked at.
const CHECKOUT_API: Habits = Habits {
    place: &EUROPE,
    service: "checkout-api",
    repository: "shop/checkout-api",
    port: 8080,
    tasks: 4,
    cpu: "1024",
    memory: "2048",
    log_router: true,
    alarm_at: 60.0,
    environment: &[
        ("APP_ENV", "production"),
        ("CART_TTL_SECONDS", "1800"),
        ("PAYMENTS_URL", "http://payments.prod-eu.internal:8443"),
        ("SIM_RPS", "60"),
        ("SIM_ERROR_RATE", "0.0008"),
        ("SIM_P50_MS", "42"),
        ("SIM_P99_MS", "310"),
    ],
    secrets: &[
        ("DATABASE_URL", "checkout/database-url"),
        ("SESSION_KEY", "checkout/session-key"),
    ],
    version: (4, 17),
    strategy: CANARY,
    hook: Some(("BeforeAllowTraffic", SMOKE_TEST)),
    bake_minutes: 5,
    ready_wait_minutes: 0,
    a_week: 2.5,
    changes: &[
        change(
            "Keep abandoned carts for 48 hours",
            &[("CART_TTL_SECONDS", "172800")],
        ),
        change(
            "Show delivery estimates at checkout",
            &[("FEATURE_DELIVERY_ESTIMATE", "on")],
        ),
        change("Raise database pool to 40", &[("DATABASE_POOL", "40")]),
        change("Accept gift cards", &[("GIFT_CARDS", "on")]),
        change(
            "Recalculate taxes on address change",
            &[("TAX_RECALCULATION", "on-address")],
        ),
        change("Log cart merges", &[("LOG_CART_MERGES", "true")]),
        change(
            "Validate VAT ids asynchronously",
            &[("VAT_CHECK", "async"), ("SIM_P99_MS", "240")],
        ),
    ],
    incidents: &[Incident {
        days_before: 8,
        release: next(CANARY, "Price shipping through the new rates service")
            .hook("BeforeAllowTraffic", SMOKE_TEST)
            .fleeting(&[
                ("RATES_CLIENT", "v2"),
                ("SIM_P50_MS", "190"),
                ("SIM_P99_MS", "2400"),
            ]),
        repair: Some((
            95,
            next(
                AT_ONCE,
                "Back to the release before: checkout takes seconds",
            )
            .again(),
        )),
    }],
    opening: None,
    future: &[],
    rest_minutes: 0,
};

/// Every canary waits for people before production traffic.
const PAYMENTS: Habits = Habits {
    place: &EUROPE,
    service: "payments",
    repository: "shop/payments",
    port: 8443,
    tasks: 3,
    cpu: "512",
    memory: "1024",
    log_router: true,
    alarm_at: 40.0,
    environment: &[
        ("APP_ENV", "production"),
        ("PSP_CLIENT", "v4"),
        ("PSP_TIMEOUT_MS", "4000"),
        ("LEDGER_STREAM", "payments-prod-eu"),
        ("SIM_RPS", "35"),
        ("SIM_ERROR_RATE", "0.0005"),
        ("SIM_P50_MS", "95"),
        ("SIM_P99_MS", "620"),
    ],
    secrets: &[
        ("PSP_API_KEY", "payments/psp-api-key"),
        ("DATABASE_URL", "payments/database-url"),
    ],
    version: (2, 31),
    strategy: CANARY,
    // Before Switchback, a chat bot waited for somebody's thumb.
    hook: Some(("BeforeAllowTraffic", "sim-succeed-after-540")),
    bake_minutes: 5,
    ready_wait_minutes: 0,
    a_week: 3.5,
    changes: &[
        change(
            "Record settlement currency",
            &[("SETTLEMENT_CURRENCY", "recorded")],
        ),
        change(
            "Retry card authorisations with back-off",
            &[("AUTHORISATION_RETRY", "exponential")],
        ),
        change("Mask IBANs in logs", &[("MASK_IBAN", "true")]),
        change("Settle in batches of 500", &[("SETTLEMENT_BATCH", "500")]),
        change("Accept SEPA instant", &[("SEPA_INSTANT", "on")]),
        change("Expire idle PSP sessions", &[("PSP_SESSION_TTL", "600")]),
        change(
            "Write refunds to the ledger first",
            &[("REFUND_ORDER", "ledger-first")],
        ),
    ],
    incidents: &[
        Incident {
            days_before: 16,
            release: next(CANARY, "Sign ledger entries with the new key")
                .hook("AfterAllowTestTraffic", FAILING_TEST)
                .fleeting(&[("LEDGER_KEY", "2026-11")]),
            repair: Some((
                70,
                next(
                    CANARY,
                    "Sign ledger entries with the new key, after its rollout",
                )
                .hook("BeforeAllowTraffic", "sim-succeed-after-300")
                .lasting(&[("LEDGER_KEY", "2026-11")]),
            )),
        },
        Incident {
            days_before: 6,
            release: next(CANARY, "Retry card authorisations without back-off")
                .hook("BeforeAllowTraffic", "sim-succeed-after-240")
                .fleeting(&[
                    ("AUTHORISATION_RETRY", "immediate"),
                    ("SIM_ERROR_RATE", "0.35"),
                ]),
            repair: None,
        },
    ],
    opening: Some(
        release(
            When::TrafficSecondsBefore(60),
            CANARY,
            "Rotate PSP client to v5",
        )
        .hook("BeforeAllowTraffic", GATE)
        .lasting(&[("PSP_CLIENT", "v5"), ("PSP_TIMEOUT_MS", "2500")]),
    ),
    future: &[
        next(CANARY, "Send 3-D Secure results to the ledger")
            .hook("BeforeAllowTraffic", GATE)
            .lasting(&[("LEDGER_3DS", "on")]),
        next(CANARY, "Open a new PSP connection for every charge")
            .hook("BeforeAllowTraffic", GATE)
            .fleeting(&[
                ("PSP_KEEPALIVE", "off"),
                ("SIM_P50_MS", "240"),
                ("SIM_P99_MS", "2900"),
            ]),
        next(CANARY, "Lower PSP timeout to 2 s")
            .hook("BeforeAllowTraffic", GATE)
            .lasting(&[("PSP_TIMEOUT_MS", "2000")]),
        next(CANARY, "Batch refunds every 30 s")
            .hook("BeforeAllowTraffic", GATE)
            .lasting(&[("REFUND_BATCH_SECONDS", "30")]),
    ],
    rest_minutes: 2,
};

/// Shifts a tenth a minute, nearly every day.
const CATALOG: Habits = Habits {
    place: &EUROPE,
    service: "catalog",
    repository: "shop/catalog",
    port: 8080,
    tasks: 6,
    cpu: "512",
    memory: "1024",
    log_router: false,
    alarm_at: 120.0,
    environment: &[
        ("APP_ENV", "production"),
        ("IMAGE_CDN", "https://img.shop.example"),
        ("CACHE_TTL_SECONDS", "60"),
        ("SIM_RPS", "120"),
        ("SIM_ERROR_RATE", "0.0004"),
        ("SIM_P50_MS", "18"),
        ("SIM_P99_MS", "140"),
    ],
    secrets: &[("DATABASE_URL", "catalog/database-url")],
    version: (11, 3),
    strategy: LINEAR,
    hook: None,
    bake_minutes: 5,
    ready_wait_minutes: 0,
    a_week: 5.0,
    changes: &[
        change("Serve AVIF thumbnails", &[("THUMBNAILS", "avif")]),
        change(
            "Cache category pages for five minutes",
            &[("CACHE_TTL_SECONDS", "300"), ("SIM_P50_MS", "14")],
        ),
        change("Show unit prices", &[("UNIT_PRICES", "on")]),
        change("Index product videos", &[("PRODUCT_VIDEOS", "indexed")]),
        change("Drop legacy colour filter", &[("COLOUR_FILTER", "v2")]),
        change("Warm caches after start", &[("CACHE_WARM_UP", "on")]),
        change(
            "Sort by popularity of the week",
            &[("SORT_DEFAULT", "week")],
        ),
        change("Sitemaps by language", &[("SITEMAPS", "by-language")]),
    ],
    incidents: &[Incident {
        days_before: 11,
        release: next(LINEAR, "Hide products without images")
            .fleeting(&[("HIDE_WITHOUT_IMAGES", "true")])
            .then(8, Act::Stop),
        repair: None,
    }],
    opening: Some(
        release(
            When::TrafficSecondsBefore(260),
            LINEAR,
            "Read stock levels from the replica",
        )
        .lasting(&[("STOCK_SOURCE", "replica")]),
    ),
    future: &[
        next(LINEAR, "Add energy labels to product pages").lasting(&[("ENERGY_LABELS", "on")]),
        next(LINEAR, "Compress category responses with Brotli")
            .lasting(&[("COMPRESSION", "br"), ("SIM_P99_MS", "115")]),
        next(LINEAR, "Raise category cache to ten minutes")
            .lasting(&[("CACHE_TTL_SECONDS", "600")]),
        next(LINEAR, "Paginate reviews by cursor").lasting(&[("REVIEW_PAGING", "cursor")]),
    ],
    rest_minutes: 3,
};

/// Releases often, and some of it is bad.
const SEARCH: Habits = Habits {
    place: &EUROPE,
    service: "search",
    repository: "shop/search",
    port: 9200,
    tasks: 3,
    cpu: "2048",
    memory: "4096",
    log_router: false,
    alarm_at: 45.0,
    environment: &[
        ("APP_ENV", "production"),
        ("INDEX", "products-v7"),
        ("SYNONYMS", "2026-10"),
        ("SIM_RPS", "80"),
        ("SIM_ERROR_RATE", "0.001"),
        ("SIM_P50_MS", "33"),
        ("SIM_P99_MS", "280"),
    ],
    secrets: &[("INDEX_PASSWORD", "search/index-password")],
    version: (7, 8),
    strategy: CANARY,
    hook: None,
    bake_minutes: 5,
    ready_wait_minutes: 0,
    a_week: 6.0,
    changes: &[
        change("Rank in-stock products higher", &[("RANK_IN_STOCK", "1.4")]),
        change("Refresh synonyms for November", &[("SYNONYMS", "2026-11")]),
        change("Cut queries at 64 terms", &[("MAX_TERMS", "64")]),
        change("Fold umlauts in queries", &[("FOLD_UMLAUTS", "on")]),
        change("Boost own brands slightly", &[("BOOST_OWN_BRANDS", "1.05")]),
        change(
            "Cache facets for a minute",
            &[("FACET_CACHE_SECONDS", "60")],
        ),
        change("Return prices with results", &[("RESULT_PRICES", "on")]),
        change(
            "Search descriptions too",
            &[("FIELDS", "title,brand,description")],
        ),
    ],
    incidents: &[
        Incident {
            days_before: 23,
            // A tag that contains `bad` stands for an image that fails one request in five.
            release: next(CANARY, "Build with the new tokenizer")
                .commit("5bad1c3")
                .fleeting(&[("SIM_ERROR_RATE", "")]),
            repair: Some((
                150,
                next(CANARY, "Build with the new tokenizer, its tables included")
                    .lasting(&[("TOKENIZER", "v2")]),
            )),
        },
        Incident {
            days_before: 3,
            release: next(CANARY, "Query two shards at a time")
                .fleeting(&[("SHARD_CONCURRENCY", "2"), ("SIM_ERROR_RATE", "0.18")]),
            repair: None,
        },
    ],
    opening: Some(
        release(
            When::TrafficSecondsBefore(60),
            CANARY,
            "Query the products-v8 index",
        )
        .fleeting(&[("INDEX", "products-v8"), ("SIM_ERROR_RATE", "0.14")]),
    ),
    future: &[
        next(CANARY, "Log slow queries above 200 ms").lasting(&[("SLOW_QUERY_MS", "200")]),
        next(CANARY, "Query the products-v8 index with its new mapping")
            .fleeting(&[("INDEX", "products-v8"), ("SIM_ERROR_RATE", "0.11")]),
        next(CANARY, "Suggest spelling corrections").lasting(&[("SPELLING", "on")]),
        next(CANARY, "Shard suggestions by locale")
            .fleeting(&[("SUGGEST_SHARDS", "locale"), ("SIM_ERROR_RATE", "0.16")]),
    ],
    rest_minutes: 2,
};

/// Rarely changes.
const CUSTOMER_PROFILE: Habits = Habits {
    place: &EUROPE,
    service: "customer-profile",
    repository: "accounts/customer-profile",
    port: 8080,
    tasks: 2,
    cpu: "256",
    memory: "512",
    log_router: false,
    alarm_at: 30.0,
    environment: &[
        ("APP_ENV", "production"),
        ("RETENTION_DAYS", "730"),
        ("SIM_RPS", "12"),
        ("SIM_ERROR_RATE", "0.0003"),
        ("SIM_P50_MS", "27"),
        ("SIM_P99_MS", "190"),
    ],
    secrets: &[("DATABASE_URL", "customer-profile/database-url")],
    version: (1, 6),
    strategy: AT_ONCE,
    hook: None,
    bake_minutes: 15,
    ready_wait_minutes: 0,
    a_week: 0.5,
    changes: &[
        change(
            "Delete unverified profiles after 30 days",
            &[("UNVERIFIED_DAYS", "30")],
        ),
        change("Export profiles as JSON", &[("EXPORT_FORMAT", "json")]),
    ],
    incidents: &[],
    opening: None,
    future: &[],
    rest_minutes: 0,
};

/// Releases more than once a day, in slow steps; since today, people look at the test traffic first.
const STOREFRONT: Habits = Habits {
    place: &AMERICA,
    service: "storefront",
    repository: "web/storefront",
    port: 3000,
    tasks: 5,
    cpu: "1024",
    memory: "2048",
    log_router: true,
    alarm_at: 150.0,
    environment: &[
        ("APP_ENV", "production"),
        ("CDN", "https://static.shop.example"),
        ("SIM_RPS", "150"),
        ("SIM_ERROR_RATE", "0.0006"),
        ("SIM_P50_MS", "64"),
        ("SIM_P99_MS", "410"),
    ],
    secrets: &[("FLAGS_KEY", "storefront/flags-key")],
    version: (23, 40),
    strategy: SLOW_LINEAR,
    hook: Some(("AfterAllowTestTraffic", SMOKE_TEST)),
    bake_minutes: 5,
    ready_wait_minutes: 0,
    a_week: 8.0,
    changes: &[
        change("New header for phones", &[("HEADER", "compact")]),
        change("Load reviews on scroll", &[("REVIEWS", "lazy")]),
        change(
            "Countdown of the November sale",
            &[("SALE_COUNTDOWN", "on")],
        ),
        change(
            "Preload fonts",
            &[("FONT_PRELOAD", "on"), ("SIM_P50_MS", "58")],
        ),
        change("Track consent version 3", &[("CONSENT", "3")]),
        change("Larger product pictures", &[("PICTURE_WIDTH", "960")]),
        change("Drop support for old browsers", &[("BROWSERSLIST", "2024")]),
        change("Show stock in the list", &[("LIST_STOCK", "on")]),
        change("Dark mode for the account pages", &[("ACCOUNT_DARK", "on")]),
    ],
    incidents: &[Incident {
        days_before: 5,
        release: next(SLOW_LINEAR, "Read feature flags at start")
            .fleeting(&[("FLAGS_AT_START", "on"), ("SIM_CRASH_ON_START", "1")])
            .then(24, Act::Stop),
        repair: Some((
            140,
            next(SLOW_LINEAR, "Read feature flags at start, with their key")
                .lasting(&[("FLAGS_AT_START", "on")]),
        )),
    }],
    opening: None,
    future: &[
        next(CANARY, "Prices with and without tax")
            .hook("AfterAllowTestTraffic", GATE)
            .lasting(&[("TAX_DISPLAY", "both")]),
        next(CANARY, "Render product pages on the edge")
            .hook("AfterAllowTestTraffic", GATE)
            .lasting(&[("EDGE_RENDERING", "on"), ("SIM_P99_MS", "360")]),
        next(CANARY, "Checkout in one page")
            .hook("AfterAllowTestTraffic", GATE)
            .fleeting(&[("CHECKOUT", "one-page"), ("SIM_ERROR_RATE", "0.09")]),
    ],
    rest_minutes: 5,
};

/// Keeps the old tasks for three quarters of an hour.
const RECOMMENDATIONS: Habits = Habits {
    place: &AMERICA,
    service: "recommendations",
    repository: "ml/recommendations",
    port: 8080,
    tasks: 4,
    cpu: "4096",
    memory: "8192",
    log_router: false,
    alarm_at: 90.0,
    environment: &[
        ("APP_ENV", "production"),
        ("MODEL", "two-tower-2026-09"),
        ("SIM_RPS", "90"),
        ("SIM_ERROR_RATE", "0.0009"),
        ("SIM_P50_MS", "71"),
        ("SIM_P99_MS", "480"),
    ],
    secrets: &[("FEATURE_STORE_KEY", "recommendations/feature-store-key")],
    version: (5, 2),
    strategy: LONG_CANARY,
    hook: None,
    bake_minutes: 45,
    ready_wait_minutes: 0,
    a_week: 3.0,
    changes: &[
        change("Model of October", &[("MODEL", "two-tower-2026-10")]),
        change(
            "Never recommend what is in the cart",
            &[("EXCLUDE_CART", "on")],
        ),
        change(
            "Score 400 candidates",
            &[("CANDIDATES", "400"), ("SIM_P50_MS", "83")],
        ),
        change("Diversify by brand", &[("DIVERSITY", "brand")]),
        change("Model of November", &[("MODEL", "two-tower-2026-11")]),
    ],
    incidents: &[
        Incident {
            days_before: 19,
            // Nobody is there: CodeDeploy gives up after an hour.
            release: next(LONG_CANARY, "Load the model from a shared volume")
                .fleeting(&[("MODEL_PATH", "/mnt/models"), ("SIM_CRASH_ON_START", "1")]),
            repair: None,
        },
        Incident {
            days_before: 12,
            release: next(LONG_CANARY, "Fetch features in one call")
                .fleeting(&[("FEATURE_CALLS", "1"), ("SIM_ERROR_RATE", "0.3")]),
            repair: None,
        },
    ],
    opening: Some(
        release(
            When::TrafficSecondsBefore(27 * 60),
            LONG_CANARY,
            "Explain recommendations",
        )
        .lasting(&[("EXPLANATIONS", "on")]),
    ),
    future: &[
        next(LONG_CANARY, "Score 600 candidates")
            .lasting(&[("CANDIDATES", "600"), ("SIM_P50_MS", "96")]),
        next(LONG_CANARY, "Score 400 candidates again")
            .lasting(&[("CANDIDATES", "400"), ("SIM_P50_MS", "83")]),
    ],
    rest_minutes: 20,
};

/// Waits, fully built, until somebody reroutes the traffic.
const SHIPPING_RATES: Habits = Habits {
    place: &AMERICA,
    service: "shipping-rates",
    repository: "logistics/shipping-rates",
    port: 8088,
    tasks: 3,
    cpu: "512",
    memory: "1024",
    log_router: false,
    alarm_at: 40.0,
    environment: &[
        ("APP_ENV", "production"),
        ("CARRIERS", "ups,fedex,usps"),
        ("SIM_RPS", "28"),
        ("SIM_ERROR_RATE", "0.0007"),
        ("SIM_P50_MS", "120"),
        ("SIM_P99_MS", "780"),
    ],
    secrets: &[("CARRIER_KEYS", "shipping-rates/carrier-keys")],
    version: (3, 11),
    strategy: AT_ONCE,
    hook: None,
    bake_minutes: 10,
    ready_wait_minutes: 60,
    a_week: 2.0,
    changes: &[
        change(
            "Fuel surcharge of November",
            &[("FUEL_SURCHARGE", "2026-11")],
        ),
        change("Quote by volume weight", &[("WEIGHT", "volume")]),
        change(
            "Ask carriers in parallel",
            &[("CARRIER_CALLS", "parallel"), ("SIM_P99_MS", "520")],
        ),
        change("Offer pick-up points", &[("PICK_UP", "on")]),
    ],
    incidents: &[Incident {
        days_before: 9,
        // Nobody reroutes the traffic: CodeDeploy gives up after the wait.
        release: next(AT_ONCE, "Quote oversize parcels"),
        repair: Some((
            1380,
            next(AT_ONCE, "Quote oversize parcels, once more")
                .lasting(&[("OVERSIZE", "on")])
                .then(12, Act::Continue),
        )),
    }],
    opening: Some(
        release(
            When::TrafficSecondsBefore(420),
            AT_ONCE,
            "Add a carrier for the east coast",
        )
        .lasting(&[("CARRIERS", "ups,fedex,usps,ontrac")]),
    ),
    future: &[
        next(AT_ONCE, "Quote to Hawaii and Alaska").lasting(&[("REMOTE_STATES", "on")]),
        next(AT_ONCE, "Cache quotes for ten minutes").lasting(&[("QUOTE_CACHE_SECONDS", "600")]),
    ],
    rest_minutes: 10,
};
