//! `swarmup env`: what makes plain `docker` use a cluster, in the language of each shell.

use std::fmt::Write as _;

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::open::Viewed;
use super::{Exit, Global};
use crate::providers;

/// The variables that `docker` reads.
const VARIABLES: [&str; 3] = ["DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"];

/// Prints what makes plain `docker` use a cluster.
#[derive(Debug, Args)]
pub(super) struct Env {
    /// The cluster
    name: Option<String>,
    /// Use this manager, rather than any that answers
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
    /// The shell
    #[arg(long, value_enum, value_name = "SHELL")]
    shell: Option<Shell>,
    /// Print what takes it back
    #[arg(short, long)]
    unset: bool,
}

/// A language that can set variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    #[value(aliases = ["bash", "zsh", "posix"])]
    Sh,
    Fish,
    #[value(alias = "pwsh")]
    Powershell,
    Cmd,
    #[value(alias = "csh")]
    Tcsh,
    Emacs,
    #[value(alias = "nu")]
    Nushell,
    Json,
    Dotenv,
}

impl Env {
    /// Runs the command.
    pub(super) async fn run(self, global: &Global) -> Result<Exit> {
        let printer = global.printer();
        let default = if cfg!(windows) { Shell::Powershell } else { Shell::Sh };
        let shell = self.shell.unwrap_or(if printer.is_json() { Shell::Json } else { default });
        let command = self.command_line(global, shell);
        if self.unset {
            printer.text(&shell.unset(&command));
            return Ok(Exit::Done);
        }
        let viewed = Viewed::open(global, self.name.as_deref())?;
        let endpoint = viewed.manager(self.node.as_deref()).await?;
        if providers::find(&viewed.journal.spec.provider)?.is_memory() {
            printer.warning("the machines of this cluster exist in memory only: nothing answers at this address");
        }
        let folder = std::path::absolute(&viewed.folder)?;
        let values = [format!("tcp://{endpoint}"), "1".to_owned(), folder.display().to_string()];
        printer.text(&shell.set(&values, &command));
        Ok(Exit::Done)
    }

    /// The command that was given, for the hint in its own output.
    fn command_line(&self, global: &Global, shell: Shell) -> String {
        let mut line = "swarmup env".to_owned();
        if shell != Shell::Sh
            && let Some(value) = shell.to_possible_value()
        {
            let _ = write!(line, " --shell {}", value.get_name());
        }
        if let Some(node) = &self.node {
            let _ = write!(line, " --node {node}");
        }
        if self.unset {
            line.push_str(" --unset");
        }
        if let Some(name) = global.cluster(self.name.as_deref()) {
            let _ = write!(line, " {name}");
        }
        line
    }
}

impl Shell {
    /// What sets the variables, with a remark on how to run it where the language has remarks.
    fn set(self, values: &[String; 3], command: &str) -> String {
        if self == Self::Json {
            let pairs = VARIABLES.into_iter().zip(values).map(|(name, value)| (name.to_owned(), value.clone().into()));
            return serde_json::Value::Object(pairs.collect()).to_string();
        }
        let mut text = String::new();
        for (name, value) in VARIABLES.into_iter().zip(values) {
            let value = self.quote(value);
            let _ = match self {
                Self::Sh => writeln!(text, "export {name}=\"{value}\""),
                Self::Fish => writeln!(text, "set -gx {name} \"{value}\";"),
                Self::Powershell => writeln!(text, "$Env:{name} = \"{value}\""),
                Self::Cmd => writeln!(text, "SET {name}={value}"),
                Self::Tcsh => writeln!(text, "setenv {name} \"{value}\";"),
                Self::Emacs => writeln!(text, "(setenv \"{name}\" \"{value}\")"),
                Self::Nushell => writeln!(text, "$env.{name} = \"{value}\""),
                Self::Dotenv | Self::Json => writeln!(text, "{name}={value}"),
            };
        }
        text.push_str(&self.remark(command));
        text
    }

    /// What takes the variables back.
    fn unset(self, command: &str) -> String {
        if self == Self::Json {
            let pairs = VARIABLES.into_iter().map(|name| (name.to_owned(), serde_json::Value::Null));
            return serde_json::Value::Object(pairs.collect()).to_string();
        }
        let mut text = String::new();
        for name in VARIABLES {
            let _ = match self {
                Self::Sh => writeln!(text, "unset {name}"),
                Self::Fish => writeln!(text, "set -e {name};"),
                Self::Powershell => writeln!(text, "Remove-Item Env:\\{name}"),
                Self::Cmd | Self::Dotenv | Self::Json => {
                    let set = if self == Self::Cmd { "SET " } else { "" };
                    writeln!(text, "{set}{name}=")
                }
                Self::Tcsh => writeln!(text, "unsetenv {name};"),
                Self::Emacs => writeln!(text, "(setenv \"{name}\" nil)"),
                Self::Nushell => writeln!(text, "hide-env --ignore-errors {name}"),
            };
        }
        text.push_str(&self.remark(command));
        text
    }

    /// A value as it stands between the language's double quotes.
    fn quote(self, value: &str) -> String {
        let (special, escape) = match self {
            Self::Sh => ("\\\"$`", '\\'),
            Self::Fish => ("\\\"$", '\\'),
            Self::Powershell => ("`\"$", '`'),
            Self::Tcsh => ("\"$`!\\", '\\'),
            Self::Emacs | Self::Nushell => ("\\\"", '\\'),
            Self::Cmd | Self::Dotenv | Self::Json => return value.to_owned(),
        };
        let mut quoted = String::with_capacity(value.len());
        for character in value.chars() {
            if special.contains(character) {
                quoted.push(escape);
            }
            quoted.push(character);
        }
        quoted
    }

    fn remark(self, command: &str) -> String {
        const DO: &str = "Run this command to configure your shell:";
        match self {
            Self::Sh => format!("# {DO}\n# eval \"$({command})\"\n"),
            Self::Fish => format!("# {DO}\n# eval ({command})\n"),
            Self::Powershell => format!("# {DO}\n# & {command} | Invoke-Expression\n"),
            Self::Cmd => format!("REM {DO}\nREM @FOR /f \"tokens=*\" %i IN ('{command}') DO @%i\n"),
            Self::Tcsh => format!(": \"{DO}\"\n: eval `{command}`\n"),
            Self::Emacs => {
                format!(";; {DO}\n;; (with-temp-buffer (shell-command \"{command}\" (current-buffer)) (eval-buffer))\n")
            }
            // Nushell evaluates no text, but it loads records.
            Self::Nushell if command.contains("--unset") => String::new(),
            Self::Nushell => {
                format!("# {DO}\n# {} | from json | load-env\n", command.replace("--shell nushell", "--shell json"))
            }
            Self::Json | Self::Dotenv => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_quoted_for_it() {
        let value = r#"/home/o'neil/"lab" $HOME `id` \x"#;

        let script = format!("printf %s \"{}\"", Shell::Sh.quote(value));
        let output = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap();

        assert_eq!(String::from_utf8(output.stdout).unwrap(), value);
    }
}
