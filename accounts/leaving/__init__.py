"""What is kept of a person: exported on demand, and forgotten when they leave.

Every app that keeps something says so in `AppConfig.ready()`::

    from accounts.leaving.forgetting import hold
    from accounts.leaving.registry import Holder

    hold(
        Holder(
            app_label="tracker",
            sections={"todos": lambda user_id: rows_of(Todo, "user_id", user_id=user_id)},
            forget=forget_tracker,
        )
    )
"""
