//! Commands to run next, whole: with the options that `doctor` was given, and values that the shell leaves as they are.

/// Puts commands together.
#[derive(Debug, Clone, Default)]
pub(super) struct Commands {
    /// Those that choose account, region and address, as both `aws` and `flexorch-s3` take them.
    options: Vec<(&'static str, String)>,
    /// The region where none is named.
    region: String,
}

impl Commands {
    /// With the options that `doctor` was given, and the region that came out of them and the environment.
    pub(super) fn new(given: &[(&'static str, Option<&str>)], region: String) -> Self {
        let options = given.iter().filter_map(|(name, value)| Some((*name, (*value)?.to_owned()))).collect();
        Self { options, region }
    }

    /// Commands for another region.
    pub(super) fn in_region(&self, region: &str) -> Self {
        let mut other = self.clone();
        if region != self.region && !region.is_empty() {
            other.options.retain(|(name, _)| *name != "--region");
            other.options.push(("--region", region.to_owned()));
            region.clone_into(&mut other.region);
        }
        other
    }

    fn options(&self) -> String {
        self.options.iter().map(|(name, value)| format!(" {name} {}", quoted(value))).collect()
    }

    /// A command of the AWS CLI.
    pub(super) fn aws(&self, command: impl std::fmt::Display) -> String {
        format!("aws {command}{}", self.options())
    }

    /// A command of this program.
    pub(super) fn own(&self, command: impl std::fmt::Display) -> String {
        format!("flexorch-s3 {command}{}", self.options())
    }

    /// Changes a secret's JSON with a filter of jq. What it holds is on no command line.
    pub(super) fn change_secret(&self, secret: &str, filter: &str) -> String {
        let secret = quoted(secret);
        let read = self.aws(format_args!(
            "secretsmanager get-secret-value --secret-id {secret} --query SecretString --output text"
        ));
        let write = self.aws(format_args!(
            "secretsmanager put-secret-value --secret-id {secret} --secret-string file:///dev/stdin"
        ));
        format!("{read} | jq -c {} | {write}", quoted(filter))
    }

    /// Sets one variable of the function's environment and leaves the others, which Lambda would otherwise drop.
    pub(super) fn set_variable(&self, function: &str, variable: &str, value: &str) -> String {
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

/// A word as the shell takes it unchanged.
pub(super) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_become_another_command() {
        assert_eq!(quoted("flexorch/invoices"), "flexorch/invoices");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("'; rm -rf ~ #"), r"''\''; rm -rf ~ #'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("$(reboot)"), "'$(reboot)'");
    }

    #[test]
    fn the_options_of_doctor_are_the_next_commands_too() {
        let given = [("--profile", Some("a b")), ("--region", None), ("--endpoint-url", Some("x"))];
        let commands = Commands::new(&given, "eu-west-1".into());
        assert_eq!(
            commands.aws("sts get-caller-identity"),
            "aws sts get-caller-identity --profile 'a b' --endpoint-url x"
        );
        assert_eq!(commands.own("doctor"), "flexorch-s3 doctor --profile 'a b' --endpoint-url x");
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
