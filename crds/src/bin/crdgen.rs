//! Writes the custom resource definitions: `crdgen` to stdout, `crdgen FOLDER` to `FOLDER/PLURAL.yaml` each.

use std::error::Error;
use std::path::PathBuf;

use lvs_crds::schema;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    for definition in schema::definitions()? {
        let text = schema::yaml(&definition)?;
        if let Some(folder) = &folder {
            std::fs::write(folder.join(format!("{}.yaml", definition.spec.names.plural)), text)?;
        } else {
            print!("---\n{text}");
        }
    }
    Ok(())
}
