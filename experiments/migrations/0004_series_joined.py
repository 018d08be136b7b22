from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("experiments", "0003_trial_distributions"),
    ]

    operations = [
        migrations.AddField(
            model_name="seriesbatch",
            name="joined",
            field=models.PositiveIntegerField(default=1),
        ),
    ]
