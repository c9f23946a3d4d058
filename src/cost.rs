//! What a cluster costs until its time is up. Pure.

use driver::Price;
use jiff::SignedDuration;

/// What a price comes to in this time.
pub fn over(price: &Price, time: SignedDuration) -> f64 {
    price.per_hour * time.as_secs_f64() / 3600.0
}

/// `0.1664 USD an hour, 0.50 USD for 3h (prices of 2026-11-01)`.
pub fn described(price: &Price, time: Option<SignedDuration>) -> String {
    let Price { per_hour, currency, as_of } = price;
    let until_then = time.map(|time| format!(", {:.2} {currency} for {time:#}", over(price, time))).unwrap_or_default();
    format!("{per_hour:.4} {currency} an hour{until_then} (prices of {as_of})")
}

/// It costs more than it may.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("it costs {costs:.2} {currency} {until}, which is more than {most:.2}")]
pub struct TooExpensive {
    costs: f64,
    currency: String,
    until: String,
    most: f64,
}

impl TooExpensive {
    /// What the user can do about it.
    pub fn hint(&self) -> String {
        "ask for fewer or smaller machines, a shorter --ttl, or a higher --max-cost".to_owned()
    }
}

/// Refuses what costs more than it may: until its time is up, or in an hour where it has no end.
pub fn check(price: Option<&Price>, time: Option<SignedDuration>, most: f64) -> Result<(), TooExpensive> {
    let Some(price) = price else { return Ok(()) };
    let costs = over(price, time.unwrap_or(SignedDuration::from_hours(1)));
    if costs <= most {
        return Ok(());
    }
    let until = time.map_or_else(|| "an hour".to_owned(), |time| format!("for {time:#}"));
    Err(TooExpensive { costs, currency: price.currency.clone(), until, most })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price() -> Price {
        Price { per_hour: 0.5, currency: "USD".to_owned(), as_of: "2026-11-01".to_owned() }
    }

    #[test]
    fn a_price_is_told_by_the_hour_and_for_the_time() {
        let three_hours = Some(SignedDuration::from_hours(3));

        assert_eq!(described(&price(), None), "0.5000 USD an hour (prices of 2026-11-01)");
        assert_eq!(described(&price(), three_hours), "0.5000 USD an hour, 1.50 USD for 3h (prices of 2026-11-01)");
    }

    #[test]
    fn what_costs_too_much_is_refused() {
        let check = |hours: Option<i64>, most| check(Some(&price()), hours.map(SignedDuration::from_hours), most);

        assert!(check(None, 0.5).is_ok() && check(Some(4), 2.0).is_ok());
        assert!(super::check(None, None, 0.0).is_ok(), "what costs nothing is never too expensive");
        assert_eq!(check(None, 0.4).unwrap_err().to_string(), "it costs 0.50 USD an hour, which is more than 0.40");
        let error = check(Some(4), 1.9).unwrap_err();
        assert_eq!(error.to_string(), "it costs 2.00 USD for 4h, which is more than 1.90");
    }
}
