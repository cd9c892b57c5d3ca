from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('outbox', '0002_delivered_events'),
    ]

    operations = [
        migrations.CreateModel(
            name='ProjectionState',
            fields=[
                ('projection', models.CharField(max_length=64, primary_key=True, serialize=False)),
                ('schema', models.IntegerField(default=1)),
                ('built_at', models.DateTimeField(null=True)),
                ('shadow', models.CharField(default='', max_length=120)),
                ('identity', models.CharField(default='', max_length=64)),
                ('shadow_schema', models.IntegerField(default=0)),
                ('version', models.BigIntegerField(default=0)),
                ('after', models.CharField(default='', max_length=64)),
                ('copied', models.BigIntegerField(default=0)),
                ('complete', models.BooleanField(default=False)),
                ('began_at', models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name='QueueSample',
            fields=[
                ('minute', models.DateTimeField(primary_key=True, serialize=False)),
                ('waiting', models.IntegerField()),
                ('lag_seconds', models.FloatField()),
                ('last_id', models.BigIntegerField()),
                ('dead', models.IntegerField()),
                ('paused', models.BooleanField(default=False)),
            ],
            options={
                'ordering': ['minute'],
            },
        ),
        migrations.CreateModel(
            name='VerificationProgress',
            fields=[
                ('projection', models.CharField(max_length=64, primary_key=True, serialize=False)),
                ('after', models.CharField(default='', max_length=64)),
                ('since', models.DateTimeField(null=True)),
                ('figures', models.JSONField(default=dict)),
                ('updated_at', models.DateTimeField(auto_now=True)),
            ],
        ),
        migrations.AlterModelOptions(
            name='deadletter',
            options={'ordering': ['-failed_at', '-id'], 'permissions': [('replay_deadletter', 'Can put dead letters back')]},
        ),
        migrations.AlterModelOptions(
            name='deliverystate',
            options={'permissions': [('operate_delivery', 'Can pause and resume delivery')], 'verbose_name': 'delivery', 'verbose_name_plural': 'delivery'},
        ),
        migrations.AlterModelOptions(
            name='outboxevent',
            options={'ordering': ['id'], 'verbose_name': 'waiting event'},
        ),
    ]
