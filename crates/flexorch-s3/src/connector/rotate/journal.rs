//! The lines of a rotation's journal. No line contains a secret.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::journal_file::Kind;
use flexorch_s3_ingester::model::credentials::ConnectorId;

/// The journal of a rotation.
pub(super) static KIND: Kind = Kind {
    name: "rotation",
    version: 1,
    if_damaged: "it is not known any more what the rotation has created. Delete the connector that the secret does not name (`flexorch-s3 \
                 connector list`) and the access key that is not used (`aws iam list-access-keys`), then remove the journal",
};

/// The first line: what the rotation replaces, written before it creates anything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Header {
    /// The secret's ARN.
    pub(super) secret: String,
    /// The IAM user.
    pub(super) user: String,
    /// FlexOrch's base URL.
    pub(super) flexorch_url: String,
    #[serde(with = "id_as_text")]
    pub(super) old_connector: ConnectorId,
    /// The access key to delete, if it is known.
    pub(super) old_key: Option<String>,
    /// The user's access keys before the rotation.
    pub(super) known_keys: Vec<String>,
    pub(super) begun: Timestamp,
}

/// A line after the first. A request is recorded before it is sent, because its effect may outlive the process; a result as soon as it is
/// known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "kebab-case")]
pub(super) enum Line {
    /// An access key is about to be created.
    KeyRequested {
        at: Timestamp,
    },
    /// IAM refused the last request.
    KeyRefused,
    /// The last request created this access key.
    KeyCreated {
        access_key_id: String,
    },
    /// An access key whose creation was never confirmed, so that its secret is lost, is deleted.
    LostKeyDeleted {
        access_key_id: String,
    },
    /// The new access key is deleted again.
    KeyDeleted,
    /// A connector of this name is about to be created.
    ConnectorRequested {
        name: String,
    },
    /// FlexOrch has no connector of that name: the request had no effect.
    ConnectorAbsent,
    /// The request created this connector.
    ConnectorCreated {
        #[serde(with = "id_as_text")]
        id: ConnectorId,
    },
    /// The new connector is deleted again.
    ConnectorDeleted,
    /// The secret names the new connector.
    SecretWritten {
        at: Timestamp,
    },
    OldConnectorDeleted,
    OldKeyDeleted,
    /// The rotation failed for good: what it created is to be deleted.
    GivenUp {
        reason: String,
    },
}

/// A connector's id as its JSON text: serde buffers the fields of a tagged line, and a buffered number loses digits.
mod id_as_text {
    use serde::de::Error as _;
    use serde::ser::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};
    use serde_json::value::RawValue;

    use flexorch_s3_ingester::model::credentials::ConnectorId;

    pub(super) fn serialize<S: Serializer>(id: &ConnectorId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&serde_json::to_string(id).map_err(S::Error::custom)?)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ConnectorId, D::Error> {
        let json = RawValue::from_string(String::deserialize(deserializer)?).map_err(D::Error::custom)?;
        ConnectorId::from_json(&json).ok_or_else(|| D::Error::custom("not a connector's id"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    #[test]
    fn a_connectors_id_is_kept_digit_by_digit() {
        for id in ["123456789012345678901234567890", "\"c-1\"", "42"] {
            let id = ConnectorId::from_json(&RawValue::from_string(id.to_owned()).unwrap()).unwrap();
            let line = Line::ConnectorCreated { id };
            let text = serde_json::to_string(&line).unwrap();
            assert_eq!(serde_json::from_str::<Line>(&text).unwrap(), line, "{text}");
        }
    }
}
