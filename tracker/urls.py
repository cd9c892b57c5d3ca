"""Addresses of the tracker's pages, under /tracker/."""

from __future__ import annotations

from django.urls import path

from tracker.views import analytics, leaderboard, people, today

app_name = "tracker"
urlpatterns = [
    path("", today.today, name="today"),
    path("todos", today.add_todo, name="add-todo"),
    path("todos/<uuid:todo_id>/<str:verb>", today.change_todo, name="change-todo"),
    path("timers", today.start_timer, name="start-timer"),
    path("timers/<uuid:timer_id>/<str:verb>", today.change_timer, name="change-timer"),
    path("report", today.file_report, name="file-report"),
    path("leaderboard", leaderboard.leaderboard, name="leaderboard"),
    path("friends", people.friends, name="friends"),
    path("friends/<uuid:person_id>/<str:verb>", people.change_friendship, name="change-friend"),
    path("search", people.search, name="search"),
    path("analytics", analytics.analytics, name="analytics"),
]
