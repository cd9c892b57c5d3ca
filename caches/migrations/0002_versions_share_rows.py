"""Zones lie in ranges of versions: first the columns and what they hold for the rows there are."""

import django.db.models.functions.datetime
from django.db import migrations, models

WHOLE = ("ready", "active", "retired")
PROGRAMS = [
    ("oz1", "Opportunity Zones 1.0 (2010 tracts, to the end of 2028)"),
    ("oz2", "Opportunity Zones 2.0 (2020 tracts, from 2027)"),
]


def count_versions(apps, schema_editor):
    """Number the versions of each program by age, and give their rows the range of one version.

    Rows of the newest whole version stay open; those of a version that was never whole lie in none.
    """
    using = schema_editor.connection.alias
    Dataset = apps.get_model("caches", "Dataset")
    tables = [apps.get_model("caches", name) for name in ("Zone", "CoverageArea")]
    for program, _ in PROGRAMS:
        versions = list(Dataset.objects.using(using).filter(program=program).order_by("id"))
        whole = [number for number, one in enumerate(versions, start=1) if one.state in WHOLE]
        for number, version in enumerate(versions, start=1):
            Dataset.objects.using(using).filter(pk=version.pk).update(sequence=number)
            later = next((other for other in whole if other > number), None)
            until = later if number in whole else number
            for model in tables:
                model.objects.using(using).filter(dataset_id=version.pk).update(
                    program=program, since=number, until=until
                )


def nothing(apps, schema_editor):
    """The columns go with the migration's other operations."""


def ranged(model):
    return [
        migrations.AddField(
            model, "program", models.CharField(choices=PROGRAMS, max_length=8, default="oz1"),
            preserve_default=False,
        ),
        migrations.AddField(
            model, "since",
            models.PositiveIntegerField(default=0, help_text="The first version that holds it."),
            preserve_default=False,
        ),
        migrations.AddField(
            model, "until",
            models.PositiveIntegerField(
                null=True, blank=True,
                help_text="The first version that does not; NULL: the newest does.",
            ),
        ),
    ]


class Migration(migrations.Migration):

    dependencies = [("caches", "0001_zones")]

    operations = [
        migrations.AddField(
            "dataset", "sequence",
            models.PositiveIntegerField(default=0, help_text="Counts the versions of the program."),
            preserve_default=False,
        ),
        *ranged("zone"),
        *ranged("coveragearea"),
        migrations.AddField("zone", "area_km2", models.FloatField(null=True, blank=True)),
        migrations.AddField("coveragearea", "content_hash", models.CharField(max_length=32, default="")),
        migrations.RunPython(count_versions, nothing),
    ]
