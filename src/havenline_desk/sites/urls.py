"""Every route of the staff desk. `manage.py check` refuses a route whose view declares no act."""

from __future__ import annotations

from django.urls import path

from ..pages import (
    calibration,
    escalations,
    exposure,
    figures,
    frameworks,
    home,
    investigations,
    organisation,
    own_sign_in,
    proposals,
    quality,
    reveal,
    session,
    set_up,
    work,
)

urlpatterns = [
    path("", home.home, name="home"),
    path("ready", home.ready, name="ready"),
    path("sign-in", session.sign_in, name="sign_in"),
    path("sign-in/passkey", session.sign_in_passkey, name="sign_in_passkey"),
    path("sign-in/passkey/options", session.passkey_options, name="passkey_options"),
    path("sign-in/second-factor", session.second_factor, name="second_factor"),
    path("sign-in/recovery", session.recovery, name="recovery"),
    path("sign-in/set-up", set_up.set_up, name="set_up"),
    path("sign-in/set-up/options", set_up.set_up_options, name="set_up_options"),
    path("sign-in/organisation", organisation.leave, name="organisation"),
    path("sign-in/from/<str:provider_id>", organisation.arrive, name="openid_connect_callback"),
    path("sign-out", session.sign_out, name="sign_out"),
    path("own-sign-in", own_sign_in.own_sign_in, name="own_sign_in"),
    path("own-sign-in/add", set_up.add_factor, name="add_factor"),
    path("own-sign-in/add/options", set_up.add_options, name="add_factor_options"),
    path("own-sign-in/remove", own_sign_in.remove, name="remove_factor"),
    path("own-sign-in/codes", own_sign_in.new_codes, name="new_recovery_codes"),
    path("own-sign-in/end", own_sign_in.end, name="end_session"),
    path("confirm", own_sign_in.confirm, name="confirm"),
    path("confirm/options", own_sign_in.confirm_options, name="confirm_options"),
    path("step-up/options", own_sign_in.step_up_options, name="step_up_options"),
    path("work", work.work, name="work"),
    path("work/start", work.start, name="start"),
    path("work/reveal", reveal.ask, name="ask_reveal"),
    path("work/skip", work.skip, name="skip"),
    path("work/escalate", escalations.escalate, name="escalate"),
    path("work/submit", work.submit, name="submit"),
    path("work/undo", work.undo, name="undo"),
    path("work/record", work.record, name="record"),
    path("reveal/<str:token>", reveal.show, name="reveal"),
    path("calibration", calibration.calibration, name="calibration"),
    path("calibration/begin", calibration.begin, name="begin_calibration"),
    path("escalations", escalations.escalations, name="escalations"),
    path("escalations/stage", escalations.stage, name="escalation_stage"),
    path("escalations/waiting", escalations.escalations_waiting, name="escalations_waiting"),
    path("proposals", proposals.proposals, name="proposals"),
    path("proposals/approve", proposals.approve_proposal, name="approve_proposal"),
    path("proposals/carry-out", proposals.carry_out_proposal, name="carry_out_proposal"),
    path("proposals/cancel", proposals.cancel_proposal, name="cancel_proposal"),
    path("investigations", investigations.investigations, name="investigations"),
    path("investigations/<str:reference>", investigations.investigation, name="investigation"),
    path("investigations/<str:reference>/law", frameworks.law_of, name="law"),
    path("investigations/<str:reference>/agreement", quality.agreement, name="agreement"),
    path("frameworks", frameworks.frameworks, name="frameworks"),
    path("frameworks/<str:framework_id>/<str:version>", frameworks.framework, name="framework"),
    path("exposure", exposure.own, name="exposure"),
    path("exposure/limit", exposure.lower, name="lower_own_budget"),
    path("exposure/people", exposure.people, name="exposure_people"),
    path("exposure/team", exposure.team, name="exposure_team"),
    path("figures/<str:reference>.json", figures.figures_json, name="figures_json"),
    path("figures/<str:reference>.csv", figures.figures_csv, name="figures_csv"),
    path("figures/<str:reference>", figures.figures, name="figures"),
]

handler400 = "havenline_desk.pages.errors.unreadable"
handler403 = "havenline_desk.pages.errors.denied"
handler404 = "havenline_desk.pages.errors.not_found"
handler500 = "havenline_desk.pages.errors.failed"
