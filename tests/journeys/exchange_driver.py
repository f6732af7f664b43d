"""What people of a desk do on its pages, for a journey: HOME release AGE-KEY | HOME withdraw. Drawn pictures alone."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

from havenline_cli import desk as opening

MINUTE = dt.timedelta(minutes=1)


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def main(home: Path, what: str, key: str = "") -> None:
    at = now() - dt.timedelta(hours=1)
    with opening.desk(opening.made_home(home, "demo")):
        from havenline_desk.actions.keep_partners import subscribe_partner
        from havenline_desk.actions.publish_edition import publish_edition
        from havenline_desk.actions.withdraw_entries import withdraw_entry
        from havenline_desk.models import Door, HouseList, Person, ReleasedEntry, WithdrawalReason
        from tests.desk import factories as make

        if what == "release":
            people = make.world(at=at, stacks=2)
            make.settle(people, make.TEXTURED, at=at + MINUTE)
            make.settle(people, make.TEXTURED, at=at + 10 * MINUTE)
            make.hash_all()
            make.clear_all(people["lead"], at=at + 20 * MINUTE)
            onto = make.house_list(people, at=at + 20 * MINUTE)
            partner = make.enrol_partner(people, slug="there", key=key, at=at + 20 * MINUTE)
            make.release(onto, people, at=at + 30 * MINUTE)
            subscribe_partner(partner, onto, Door.EXCHANGE, by=people["liaison"], at=at + 30 * MINUTE)
        else:
            onto, first = HouseList.objects.get(), ReleasedEntry.objects.order_by("pk")[0]
            lead = Person.objects.get(name="lead")
            withdraw_entry(first, reason=WithdrawalReason.ERROR, person=lead, at=at + 40 * MINUTE)
        publish_edition(onto, person=Person.objects.get(name="liaison"), at=at + 45 * MINUTE)
        for each in ReleasedEntry.objects.order_by("pk"):
            print(each.file.sha256)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
