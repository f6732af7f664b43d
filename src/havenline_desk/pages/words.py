"""The words that the workspace's modules show; they stand here because translations live on the server."""

from __future__ import annotations

from django.utils.translation import gettext as _


def workspace_words(*, film: bool) -> dict[str, str]:
    return {
        "step0": _("Nothing is shown."),
        "step1": _("Step 1 of 4: mosaic"),
        "step2": _("Step 2 of 4: small, blurred, grey"),
        "step3": _("Step 3 of 4: grey"),
        "step4": _("Step 4 of 4: full"),
        "picture": _("The film's frames at this step") if film else _("The picture at this step of the ladder"),
        "nothing_loaded": _("Nothing is loaded."),
        "straight": _("Straight to step %(step)s"),
        "opening": _("Opening…"),
        "hidden_idle": _("Hidden: 20 seconds without a key. Press . to look again."),
        "hidden_focus": _("Hidden: this window lost the focus. Press . to look again."),
        "hidden": _("Hidden. Press . to look again."),
        "failed": _("It could not be opened, and nothing was shown. Press . to try again."),
        "unreachable": _("The desk did not answer, and nothing was shown. Your answers stay on this page. Try again."),
        "signed_out": _("You are signed out. Sign in again in another window; your answers stay on this page."),
        "this_picture": _("The film, as one sheet of its frames") if film else _("Picture 1, the one you judge"),
        "near_picture": _("Picture %(number)s, near"),
        "ready": _("Everything is answered."),
        "questions_left": _("Questions to answer: %(count)s"),
        "near_left": _("Near pictures to decide: %(count)s"),
        "look_first": _("Not looked at yet: press . for the first step"),
        "look_closer": _("Look at near picture %(number)s at step %(step)s first, as you did at picture 1"),
        "judge_first": _("Look at picture 1 first; near pictures are compared with it"),
        "not_seen": _("not looked at yet"),
        "seen": _("seen at step %(step)s"),
        "same": _("same picture"),
        "different": _("not the same"),
        "open_question": _("to answer"),
        "comparing": _("Comparing…"),
        "not_compared": _("The desk did not answer, and nothing was compared. Try again."),
        "likeness": _("Map of picture 1: filled, alike; crossed, different; empty, too plain to say or not covered."),
        "lease_over": _("The time for this item has run out. Submit now, or reload the page to keep it."),
        "lease_left": _("%(minutes)s min left"),
    }
