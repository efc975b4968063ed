"""A flight for requests."""

from typing import Any

FLIGHT: dict[str, Any] = {
    "carrier": "UA",
    "origin": "EWR",
    "dest": "IAH",
    "month": 4,
    "day_of_week": 0,
    "scheduled_departure_minute": 315,
    "scheduled_arrival_minute": 499,
    "distance": 1400,
    "temp": 39.0,
    "dewp": 28.0,
    "humid": 64.4,
    "wind_dir": 260,
    "wind_speed": 12.7,
    "wind_gust": None,
    "precip": 0.0,
    "pressure": 1011.9,
    "visib": 10,
}
