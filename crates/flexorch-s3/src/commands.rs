//! Suggested commands, complete: they run as printed, with the options that were given to this command, and values quoted for the shell.

/// The option that selects FlexOrch's API, which the AWS CLI does not have.
pub(crate) const FLEXORCH_URL: &str = "--flexorch-url";

#[derive(Debug, Clone, Default)]
pub(crate) struct Commands {
    /// The given options that select account, region, endpoint and FlexOrch.
    options: Vec<(&'static str, String)>,
    /// The default region.
    region: String,
}

impl Commands {
    /// Creates a builder with the options that were given, and the default region.
    pub(crate) fn new(given: &[(&'static str, Option<&str>)], region: String) -> Self {
        let options = given.iter().filter_map(|(name, value)| Some((*name, (*value)?.to_owned()))).collect();
        Self { options, region }
    }

    /// Returns a builder for another region.
    pub(crate) fn in_region(&self, region: &str) -> Self {
        let mut other = self.clone();
        if region != self.region && !region.is_empty() {
            other.options.retain(|(name, _)| *name != "--region");
            other.options.push(("--region", region.to_owned()));
            region.clone_into(&mut other.region);
        }
        other
    }

    fn options(&self, belongs: impl Fn(&str) -> bool) -> String {
        let options = self.options.iter().filter(|(name, _)| belongs(name));
        options.map(|(name, value)| format!(" {name} {}", quoted(value))).collect()
    }

    /// Builds a command of the AWS CLI.
    pub(crate) fn aws(&self, command: impl std::fmt::Display) -> String {
        format!("aws {command}{}", self.options(|name| name != FLEXORCH_URL))
    }

    /// Builds a command of this program.
    pub(crate) fn own(&self, command: impl std::fmt::Display) -> String {
        format!("flexorch-s3 {command}{}", self.options(|_| true))
    }

    /// Builds the command that submits a key. A receipt for it goes to the queue of the function `tracked_by`, so that the document
    /// gets a record.
    pub(crate) fn submit(&self, secret: &str, tracked_by: Option<&str>, key: &str) -> String {
        let function = tracked_by.map(|function| format!(" --function {}", quoted(function))).unwrap_or_default();
        self.own(format_args!("submit --secret {}{function} {}", quoted(secret), quoted(key)))
    }

    /// Builds a command that changes a secret's JSON with a jq filter. The secret's value is not part of it.
    pub(crate) fn change_secret(&self, secret: &str, filter: &str) -> String {
        let secret = quoted(secret);
        let read = self.aws(format_args!(
            "secretsmanager get-secret-value --secret-id {secret} --query SecretString --output text"
        ));
        let write = self.aws(format_args!(
            "secretsmanager put-secret-value --secret-id {secret} --secret-string file:///dev/stdin"
        ));
        format!("{read} | jq -c {} | {write}", quoted(filter))
    }

    /// Builds a command that sets one environment variable of the function. It keeps the others, which Lambda would drop otherwise.
    pub(crate) fn set_variable(&self, function: &str, variable: &str, value: &str) -> String {
        let function = quoted(function);
        let read = self.aws(format_args!(
            "lambda get-function-configuration --function-name {function} --query Environment --output json"
        ));
        let filter = format!(".Variables.{variable} = {}", serde_json::Value::from(value));
        self.aws(format_args!(
            "lambda update-function-configuration --function-name {function} --environment \"$({read} | jq -c {})\"",
            quoted(&filter)
        ))
    }
}

/// Quotes a word for the shell, if necessary. A NUL, which no argument can contain, is kept.
pub(crate) fn quoted(word: &str) -> String {
    let quoted = shlex::Quoter::new().allow_nul(true).quote(word);
    quoted.map_or_else(|_| word.to_owned(), std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_become_another_command() {
        assert_eq!(quoted("flexorch/invoices"), "flexorch/invoices");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("$(reboot)"), "'$(reboot)'");
        for odd in ["'; rm -rf ~ #", "", "`reboot`", "a\\'\"b", "line\nline", "100%!", "~"] {
            assert_eq!(shlex::split(&quoted(odd)), Some(vec![odd.to_owned()]), "{odd}");
        }
    }

    #[test]
    fn suggested_commands_have_the_options_that_were_given() {
        let given = [
            ("--profile", Some("a b")),
            ("--region", None),
            ("--endpoint-url", Some("x")),
            (FLEXORCH_URL, Some("https://f/v1")),
        ];
        let commands = Commands::new(&given, "eu-west-1".into());
        assert_eq!(
            commands.aws("sts get-caller-identity"),
            "aws sts get-caller-identity --profile 'a b' --endpoint-url x"
        );
        assert_eq!(
            commands.own("doctor"),
            "flexorch-s3 doctor --profile 'a b' --endpoint-url x --flexorch-url https://f/v1"
        );
        assert_eq!(commands.in_region("eu-west-1").own("x"), commands.own("x"));
        assert!(commands.in_region("us-east-1").own("x").ends_with("--region us-east-1"));
    }

    #[test]
    fn one_variable_is_set_and_the_others_are_kept() {
        let command = Commands::default().set_variable("f", "KEY_PREFIXES", "a/");
        assert_eq!(
            command,
            "aws lambda update-function-configuration --function-name f --environment \"$(aws lambda get-function-configuration \
             --function-name f --query Environment --output json | jq -c '.Variables.KEY_PREFIXES = \"a/\"')\""
        );
    }
}
