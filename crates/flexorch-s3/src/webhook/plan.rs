//! Decides whether a webhook must be registered, and which others are in the way. Pure.

use reqwest::Url;

use crate::management::Webhook;

/// What is there already.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'a> {
    pub(crate) url: &'a Url,
    /// All webhooks of the API key.
    pub(crate) webhooks: &'a [Webhook],
    /// The webhooks that are known to sign with the stored secret; `None`: no secret is stored.
    pub(crate) signed: Option<&'a [String]>,
    /// Whether the stored secret is to be replaced.
    pub(crate) new_secret: bool,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Plan {
    /// This webhook reports jobs, and its signing secret is stored. Others with the same URL are superfluous.
    Keep { webhook: Webhook, superfluous: Vec<Webhook> },
    /// A webhook is registered, and then these are deleted: nothing shows that their deliveries can be verified.
    Register { replaced: Vec<Webhook> },
}

/// A webhook with the URL that may not be deleted, because it does something else too.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("webhook {0} with this URL exports datasets too (auto_export)")]
pub(crate) struct Exports(pub(crate) String);

impl Found<'_> {
    /// Decides.
    ///
    /// # Errors
    /// If a webhook that would be deleted exports datasets.
    pub(crate) fn plan(&self) -> Result<Plan, Exports> {
        let same: Vec<_> = self.webhooks.iter().filter(|webhook| webhook.delivers_to(self.url)).cloned().collect();
        let is_verified = |webhook: &Webhook| {
            let is_signed = self.signed.is_some_and(|signed| signed.contains(&webhook.id));
            webhook.reports_jobs() && is_signed && !self.new_secret
        };
        let kept = same.iter().position(is_verified);
        let mut rest = same;
        let kept = kept.map(|position| rest.remove(position));
        if let Some(exporting) = rest.iter().find(|webhook| webhook.export.is_some()) {
            return Err(Exports(exporting.id.clone()));
        }
        Ok(match kept {
            Some(webhook) => Plan::Keep { webhook, superfluous: rest },
            None => Plan::Register { replaced: rest },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::management::{AutoExport, JOB_EVENTS};

    fn webhook(id: &str, url: &str) -> Webhook {
        Webhook {
            id: id.into(),
            url: url.into(),
            events: JOB_EVENTS.map(str::to_owned).to_vec(),
            active: true,
            created_at: None,
            export: None,
        }
    }

    fn plan(webhooks: &[Webhook], signed: Option<&[&str]>, new_secret: bool) -> Result<Plan, Exports> {
        let signed: Option<Vec<String>> = signed.map(|ids| ids.iter().map(|id| (*id).to_owned()).collect());
        let url = "https://x.example/".parse().unwrap();
        Found { url: &url, webhooks, signed: signed.as_deref(), new_secret }.plan()
    }

    #[test]
    fn only_a_webhook_whose_secret_is_known_to_be_stored_is_kept() {
        let (one, two) = (webhook("1", "https://x.example"), webhook("2", "https://x.example/"));
        let other = webhook("3", "https://y.example/");
        let all = [other, one.clone(), two.clone()];
        let kept = Plan::Keep { webhook: two.clone(), superfluous: vec![one.clone()] };
        assert_eq!(plan(&all, Some(&["2", "3"]), false), Ok(kept));
        let replaced = || Plan::Register { replaced: vec![one.clone(), two.clone()] };
        for (signed, new_secret) in [(Some(&["3"][..]), false), (Some(&[]), false), (None, false), (Some(&["2"]), true)]
        {
            assert_eq!(plan(&all, signed, new_secret), Ok(replaced()), "{signed:?} {new_secret}");
        }
        assert_eq!(plan(&[], None, false), Ok(Plan::Register { replaced: Vec::new() }));
    }

    #[test]
    fn a_webhook_that_is_disabled_or_lacks_an_event_is_replaced() {
        let off = Webhook { active: false, ..webhook("1", "https://x.example/") };
        let half = Webhook { events: vec!["job.failed".into()], ..webhook("1", "https://x.example/") };
        for broken in [off, half] {
            let expected = Plan::Register { replaced: vec![broken.clone()] };
            assert_eq!(plan(&[broken], Some(&["1"]), false), Ok(expected));
        }
    }

    #[test]
    fn a_webhook_that_exports_is_never_deleted() {
        let export = AutoExport { webhook: "1".into(), connector: None, format: None, prefix: "out/".into() };
        let exporting = Webhook { export: Some(export), ..webhook("1", "https://x.example/") };
        assert_eq!(plan(std::slice::from_ref(&exporting), None, false), Err(Exports("1".into())));
        assert!(plan(&[exporting], Some(&["1"]), false).is_ok(), "it is kept");
    }
}
