"""One migration history with one leaf, which says exactly what the models say."""

from __future__ import annotations

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.db.migrations.loader import MigrationLoader


def test_there_is_a_single_migration_leaf() -> None:
    assert len(MigrationLoader(None).graph.leaf_nodes("desk")) == 1


@pytest.mark.django_db
def test_no_model_change_is_without_its_migration() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_the_system_check_is_clean_and_every_route_names_its_act() -> None:
    assert run_checks() == []
