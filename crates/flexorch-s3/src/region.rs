//! The one place that selects the region of an AWS client.

use aws_config::{Region, SdkConfig};

/// Returns the SDK's configuration for a region, or the same configuration without one.
pub(crate) fn in_region(sdk: &SdkConfig, region: Option<&str>) -> SdkConfig {
    match region {
        Some(region) => sdk.to_builder().region(Region::new(region.to_owned())).build(),
        None => sdk.clone(),
    }
}
