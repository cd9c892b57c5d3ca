from django.db import migrations

from outbox.events import MONGODB
from outbox.triggers import record_changes


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0001_initial'),
        ('outbox', '0001_initial'),
    ]

    operations = [
        # A sign-in changes last_login, which nobody is shown.
        record_changes(
            table='accounts_user',
            aggregate_type='user',
            sinks=[MONGODB],
            of=['first_name', 'last_name', 'is_active', 'date_joined'],
        ),
    ]
