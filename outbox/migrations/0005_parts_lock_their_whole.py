"""The trigger of a row that is shown as a part of another one locks that one."""

from django.db import migrations

from outbox.triggers import FUNCTION


def replace_function(apps, editor):
    if editor.connection.vendor == "postgresql":
        editor.execute(FUNCTION)


class Migration(migrations.Migration):
    dependencies = [("outbox", "0004_charts_of_failures")]

    # The function of before is this one for triggers that name no other table.
    operations = [migrations.RunPython(replace_function, migrations.RunPython.noop)]
