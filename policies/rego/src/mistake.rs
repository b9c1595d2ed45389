//! What is wrong with a text that a setting gives, said so that the engine can name the file.

/// `SETTING:LINE:COLUMN: what is wrong`, from what regorus says of rules, which is a picture of the
/// line with its place above it and the reason below.
pub(crate) fn in_rules(said: &str) -> String {
    let place = said.lines().find_map(|line| line.strip_prefix("--> "));
    let why: Vec<&str> = said
        .lines()
        .skip_while(|line| !line.starts_with("error: "))
        .map(|line| line.trim_start_matches("error: ").trim())
        .filter(|line| !line.is_empty())
        .collect();
    match place {
        Some(place) if !why.is_empty() => format!("{place}: {}", why.join("; ")),
        _ => said.trim().to_owned(),
    }
}

/// The same from what is said of a text in JSON, which ends in its place.
pub(crate) fn in_json(setting: &str, said: &str) -> String {
    let place = said.rsplit_once(" at line ").and_then(|(why, place)| {
        let (line, column) = place.split_once(" column ")?;
        Some(format!("{setting}:{line}:{}: this is not JSON: {why}", column.trim_end()))
    });
    place.unwrap_or_else(|| format!("{setting}:1:1: this is not JSON: {said}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_first() {
        let said = "\n--> rules:3:5\n  |\n3 | p := q r\n  |     ^\nerror: expecting something";
        assert_eq!(in_rules(said), "rules:3:5: expecting something");
        assert_eq!(in_rules("not a valid rule path"), "not a valid rule path");
        assert_eq!(
            in_json("data", "expected value at line 1 column 7"),
            "data:1:7: this is not JSON: expected value"
        );
    }
}
