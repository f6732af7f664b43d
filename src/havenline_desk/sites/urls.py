"""Every route of the staff desk. `manage.py check` refuses a route whose view declares no act."""

from __future__ import annotations

from django.urls import path

from ..pages import calibration, escalations, figures, frameworks, home, investigations, quality, reveal, session, work

urlpatterns = [
    path("", home.home, name="home"),
    path("ready", home.ready, name="ready"),
    path("sign-in", session.sign_in, name="sign_in"),
    path("sign-out", session.sign_out, name="sign_out"),
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
    path("investigations", investigations.investigations, name="investigations"),
    path("investigations/<str:reference>", investigations.investigation, name="investigation"),
    path("investigations/<str:reference>/law", frameworks.law_of, name="law"),
    path("investigations/<str:reference>/agreement", quality.agreement, name="agreement"),
    path("frameworks", frameworks.frameworks, name="frameworks"),
    path("frameworks/<str:framework_id>/<str:version>", frameworks.framework, name="framework"),
    path("figures/<str:reference>.json", figures.figures_json, name="figures_json"),
    path("figures/<str:reference>.csv", figures.figures_csv, name="figures_csv"),
    path("figures/<str:reference>", figures.figures, name="figures"),
]

handler400 = "havenline_desk.pages.errors.unreadable"
handler403 = "havenline_desk.pages.errors.denied"
handler404 = "havenline_desk.pages.errors.not_found"
handler500 = "havenline_desk.pages.errors.failed"
