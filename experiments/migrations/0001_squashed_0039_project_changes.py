"""All tables as 0039 left them, in one step; whoever has those migrations applied has this one."""

from __future__ import annotations

from importlib import import_module

import django.db.models.deletion
import django.db.models.expressions
from django.conf import settings
from django.db import migrations, models

import experiments.models.project
import experiments.models.step_field

guards = import_module("experiments.migrations.0002_decisions_are_insert_only")
incarnation = import_module("experiments.migrations.0033_incarnation")


class Migration(migrations.Migration):
    replaces = [
        ("experiments", "0001_initial"),
        ("experiments", "0002_decisions_are_insert_only"),
        ("experiments", "0003_trial_distributions"),
        ("experiments", "0004_series_joined"),
        ("experiments", "0005_repeated_searches"),
        ("experiments", "0006_several_candidates_guards_extra_looks"),
        ("experiments", "0007_trial_readings_muted_overfitting"),
        ("experiments", "0008_baseline_first"),
        ("experiments", "0009_parameter_importance"),
        ("experiments", "0010_targets_of_a_project"),
        ("experiments", "0011_gpu_hours_of_earlier_attempts"),
        ("experiments", "0012_steps_of_resumed_attempts"),
        ("experiments", "0013_gpus_turns_and_retry_budget"),
        ("experiments", "0014_events_webhooks_and_messages"),
        ("experiments", "0015_invitations_and_counted_attempts"),
        ("experiments", "0016_checkpoints_and_batch_sizes"),
        ("experiments", "0017_test_messages_and_pruned_deliveries"),
        ("experiments", "0018_batch_size_jobs"),
        ("experiments", "0019_whole_documents"),
        ("experiments", "0020_findings_owed"),
        ("experiments", "0021_steps_between_whole_numbers"),
        ("experiments", "0022_first_trials_that_fail"),
        ("experiments", "0023_comparison_group"),
        ("experiments", "0024_logged_files"),
        ("experiments", "0025_objective_checks"),
        ("experiments", "0026_outside_runs"),
        ("experiments", "0027_code_of_experiments"),
        ("experiments", "0028_edge_probes"),
        ("experiments", "0029_code_versions"),
        ("experiments", "0030_logged_models"),
        ("experiments", "0031_registered_models"),
        ("experiments", "0032_runs_tables"),
        ("experiments", "0033_incarnation"),
        ("experiments", "0034_retrospective_comparisons"),
        ("experiments", "0035_reviews"),
        ("experiments", "0036_shared_links"),
        ("experiments", "0037_order_by_score"),
        ("experiments", "0038_worker_turns"),
        ("experiments", "0039_project_changes"),
    ]

    initial = True

    dependencies = [
        ("auth", "__first__"),
    ]

    operations = [
        migrations.CreateModel(
            name="Environment",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("digest", models.CharField(max_length=64, unique=True)),
                ("document", models.TextField()),
            ],
        ),
        migrations.CreateModel(
            name="Worker",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=200, unique=True)),
                ("host", models.CharField(max_length=200)),
                ("pid", models.PositiveIntegerField()),
                ("queues", models.CharField(max_length=200)),
                ("slots", models.PositiveSmallIntegerField(default=1)),
                ("devices", models.CharField(blank=True, max_length=400)),
                ("started_at", models.DateTimeField()),
                ("heartbeat_at", models.DateTimeField()),
                ("stopped_at", models.DateTimeField(blank=True, null=True)),
                ("offers", models.TextField(db_default="[]", default="[]")),
                ("turn_at", models.DateTimeField(blank=True, db_index=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name="CountedAttempt",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("subject", models.CharField(max_length=64)),
                ("at", models.DateTimeField(db_index=True)),
            ],
            options={
                "indexes": [
                    models.Index(fields=["subject", "at"], name="counted_attempt_subject")
                ],
            },
        ),
        migrations.CreateModel(
            name="Project",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("slug", models.SlugField(max_length=100, unique=True)),
                ("name", models.CharField(max_length=200)),
                ("official_metric", models.CharField(max_length=200)),
                (
                    "direction",
                    models.CharField(
                        choices=[("minimize", "Minimize"), ("maximize", "Maximize")], max_length=8
                    ),
                ),
                ("margin", models.FloatField(default=0.0)),
                ("smallest_gain", models.FloatField(blank=True, null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("archived_at", models.DateTimeField(blank=True, null=True)),
                ("targets", models.JSONField(default=experiments.models.project.only_production)),
                ("seals_test", models.BooleanField(db_default=True, default=True)),
                (
                    "reviews",
                    models.CharField(
                        choices=[
                            ("none", "None"),
                            ("overrides", "Overrides"),
                            ("adopts", "Adopts"),
                        ],
                        db_default="none",
                        default="none",
                        max_length=9,
                    ),
                ),
            ],
            options={
                "ordering": ("slug",),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("margin__gte", 0)), name="project_margin_not_negative"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("smallest_gain__isnull", True),
                            ("smallest_gain__gt", 0),
                            _connector="OR",
                        ),
                        name="project_smallest_gain_positive",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("direction__in", ["minimize", "maximize"])),
                        name="project_direction_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("reviews__in", ["none", "overrides", "adopts"])),
                        name="project_reviews_known",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Experiment",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=200)),
                ("goal", models.TextField()),
                ("notes", models.TextField(blank=True)),
                ("config_link", models.URLField(blank=True, max_length=1000)),
                ("objective", models.CharField(blank=True, max_length=300)),
                ("source", models.TextField(blank=True)),
                ("document", models.TextField(default="{}")),
                ("official_metric", models.CharField(max_length=200)),
                (
                    "direction",
                    models.CharField(
                        choices=[("minimize", "Minimize"), ("maximize", "Maximize")], max_length=8
                    ),
                ),
                ("margin", models.FloatField(default=0.0)),
                ("smallest_gain", models.FloatField(blank=True, null=True)),
                ("sampler", models.CharField(max_length=40)),
                ("pruner", models.CharField(default="none", max_length=40)),
                ("seed", models.BigIntegerField(default=0)),
                ("split_seed", models.BigIntegerField(default=0)),
                ("parallel", models.PositiveIntegerField(default=1)),
                ("budget", models.PositiveIntegerField(default=0)),
                ("queue", models.CharField(default="cpu", max_length=40)),
                ("priority", models.IntegerField(default=0)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("running", "Running"),
                            ("paused", "Paused"),
                            ("finished", "Finished"),
                            ("stopped", "Stopped"),
                        ],
                        default="running",
                        max_length=8,
                    ),
                ),
                ("stop_reason", models.CharField(blank=True, max_length=300)),
                ("commit", models.CharField(blank=True, max_length=64)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("active_at", models.DateTimeField(auto_now_add=True)),
                ("archived_at", models.DateTimeField(blank=True, null=True)),
                ("trial_count", models.PositiveIntegerField(default=0)),
                ("complete_count", models.PositiveIntegerField(default=0)),
                ("pruned_count", models.PositiveIntegerField(default=0)),
                ("failed_count", models.PositiveIntegerField(default=0)),
                ("best_value", models.FloatField(blank=True, null=True)),
                ("mutes_overfitting", models.BooleanField(default=False)),
                ("claimed_at", models.DateTimeField(blank=True, null=True)),
                ("gpu_hours_cap", models.FloatField(blank=True, null=True)),
                ("gpus", models.PositiveSmallIntegerField(db_default=0, default=0)),
                ("derived_count", models.PositiveIntegerField(db_default=0, default=0)),
                ("failed_alike", models.PositiveIntegerField(db_default=0, default=0)),
                ("code", models.CharField(blank=True, db_default="", max_length=64)),
                ("codes", models.TextField(db_default="[]", default="[]")),
                (
                    "created_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "extends",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="extensions",
                        to="experiments.experiment",
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="experiments",
                        to="experiments.project",
                    ),
                ),
            ],
            options={
                "ordering": ("-created_at",),
                "indexes": [
                    models.Index(fields=["project", "-active_at"], name="experiment_by_activity"),
                    models.Index(
                        condition=models.Q(("state", "running")),
                        fields=["queue", "state"],
                        name="experiment_runnable",
                    ),
                    models.Index(
                        condition=models.Q(("derived_count__lt", models.F("trial_count"))),
                        fields=["active_at"],
                        name="experiment_derived_due",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("project", "name"), name="experiment_name_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("goal", ""), _negated=True),
                        name="experiment_has_a_goal",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("margin__gte", 0)),
                        name="experiment_margin_not_negative",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("parallel__gte", 1)),
                        name="experiment_parallel_at_least_one",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("state__in", ["running", "paused", "finished", "stopped"])
                        ),
                        name="experiment_state_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "trial_count",
                                django.db.models.expressions.CombinedExpression(
                                    django.db.models.expressions.CombinedExpression(
                                        models.F("complete_count"), "+", models.F("pruned_count")
                                    ),
                                    "+",
                                    models.F("failed_count"),
                                ),
                            )
                        ),
                        name="experiment_counters_add_up",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("best_value__isnull", True),
                            ("complete_count__gte", 1),
                            _connector="OR",
                        ),
                        name="experiment_best_needs_a_complete_trial",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="EdgeProbe",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("running", "Running"),
                            ("done", "Done"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="running",
                        max_length=9,
                    ),
                ),
                ("edges", models.TextField()),
                ("moved", models.TextField()),
                ("looks", models.PositiveSmallIntegerField(default=0)),
                ("root_seed", models.BigIntegerField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                (
                    "asked_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "experiment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="edge_probes",
                        to="experiments.experiment",
                    ),
                ),
            ],
            options={
                "ordering": ("-pk",),
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state", "running")),
                        fields=("experiment",),
                        name="edge_probe_once_at_a_time",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ExperimentTag",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=60)),
                (
                    "experiment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="tags",
                        to="experiments.experiment",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("experiment", "name"), name="experiment_tag_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ParameterImportance",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("method", models.CharField(max_length=40)),
                ("trials", models.PositiveIntegerField()),
                ("shares", models.TextField(default="{}")),
                ("computed_at", models.DateTimeField(auto_now=True)),
                (
                    "experiment",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="importance",
                        to="experiments.experiment",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="MessageChoice",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("events", models.JSONField(default=list)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="message_choices",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="message_choices",
                        to="experiments.project",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("user", "project"), name="message_choice_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="Membership",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "role",
                    models.CharField(
                        choices=[
                            ("viewer", "Viewer"),
                            ("editor", "Editor"),
                            ("approver", "Approver"),
                            ("admin", "Admin"),
                        ],
                        max_length=8,
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="memberships",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="memberships",
                        to="experiments.project",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("user", "project"), name="membership_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("role__in", ["viewer", "editor", "approver", "admin"])
                        ),
                        name="membership_role_known",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Invitation",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "role",
                    models.CharField(
                        choices=[
                            ("viewer", "Viewer"),
                            ("editor", "Editor"),
                            ("approver", "Approver"),
                            ("admin", "Admin"),
                        ],
                        max_length=8,
                    ),
                ),
                ("email", models.CharField(blank=True, max_length=254)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("expires_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                (
                    "accepted_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "invited_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="invitations",
                        to="experiments.project",
                    ),
                ),
            ],
            options={
                "ordering": ("-pk",),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("role__in", ["viewer", "editor", "approver", "admin"])
                        ),
                        name="invitation_role_known",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Event",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("finished", "Finished"),
                            ("failed", "Failed"),
                            ("stalled", "Stalled"),
                            ("decision wanted", "Wanted"),
                            ("decided", "Decided"),
                            ("test", "Test"),
                        ],
                        max_length=15,
                    ),
                ),
                ("key", models.CharField(max_length=120, unique=True)),
                ("document", models.TextField(default="{}")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "experiment",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="events",
                        to="experiments.experiment",
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="events",
                        to="experiments.project",
                    ),
                ),
            ],
            options={
                "ordering": ("-pk",),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "kind__in",
                                [
                                    "finished",
                                    "failed",
                                    "stalled",
                                    "decision wanted",
                                    "decided",
                                    "test",
                                ],
                            )
                        ),
                        name="event_kind_known",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Configuration",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("digest", models.CharField(max_length=64)),
                ("document", models.TextField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="configurations",
                        to="experiments.project",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("project", "digest"), name="configuration_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ApiToken",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=100)),
                ("scopes", models.CharField(default="read", max_length=100)),
                ("prefix", models.CharField(max_length=12)),
                ("digest", models.CharField(max_length=64, unique=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                ("last_used_at", models.DateTimeField(blank=True, null=True)),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
                (
                    "owner",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="api_tokens",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="api_tokens",
                        to="experiments.project",
                    ),
                ),
            ],
            options={
                "ordering": ("-created_at",),
            },
        ),
        migrations.CreateModel(
            name="ProjectChange",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("made_by_name", models.CharField(max_length=150)),
                ("made_at", models.DateTimeField(auto_now_add=True)),
                ("text", models.CharField(max_length=1000)),
                (
                    "made_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="changes",
                        to="experiments.project",
                    ),
                ),
            ],
            options={
                "ordering": ("-pk",),
            },
        ),
        migrations.CreateModel(
            name="PrunedDeliveries",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("sent", models.PositiveBigIntegerField(default=0)),
                ("failed", models.PositiveBigIntegerField(default=0)),
                ("until", models.DateTimeField()),
                (
                    "project",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="pruned_deliveries",
                        to="experiments.project",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="RegisteredModel",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=256)),
                ("description", models.TextField(blank=True)),
                ("tags", models.TextField(default="{}")),
                ("aliases", models.TextField(default="{}")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("deleted_at", models.DateTimeField(blank=True, null=True)),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="registered_models",
                        to="experiments.project",
                    ),
                ),
            ],
            options={
                "ordering": ("pk",),
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("deleted_at__isnull", True)),
                        fields=("project", "name"),
                        name="registered_model_name_once",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Replication",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "purpose",
                    models.CharField(
                        choices=[
                            ("verdict", "Verdict"),
                            ("training_seed", "Training Seed"),
                            ("split_seed", "Split Seed"),
                            ("search_seed", "Search Seed"),
                            ("baseline", "Baseline"),
                        ],
                        default="verdict",
                        max_length=13,
                    ),
                ),
                ("against_champion", models.BooleanField(default=False)),
                (
                    "score_rule",
                    models.CharField(
                        choices=[
                            ("tail_median", "Tail Median"),
                            ("last", "Last"),
                            ("best", "Best"),
                        ],
                        default="tail_median",
                        max_length=11,
                    ),
                ),
                ("margin", models.FloatField(default=0.0)),
                ("smallest_gain", models.FloatField(blank=True, null=True)),
                ("looks", models.TextField(default="[10, 20, 30]")),
                ("level", models.FloatField(default=0.0221)),
                ("level_source", models.CharField(blank=True, max_length=300)),
                ("root_seed", models.BigIntegerField()),
                ("pairs_queued", models.PositiveIntegerField(default=0)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("candidates", models.PositiveSmallIntegerField(default=1)),
                ("extra_looks", models.TextField(default="[]")),
                ("guards", models.TextField(default="[]")),
                ("picked", models.TextField(blank=True)),
                (
                    "baseline",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="experiments.configuration",
                    ),
                ),
                (
                    "candidate",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="experiments.configuration",
                    ),
                ),
                (
                    "created_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "experiment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="replications",
                        to="experiments.experiment",
                    ),
                ),
                (
                    "first_of_group",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="others_of_group",
                        to="experiments.replication",
                    ),
                ),
            ],
            options={
                "ordering": ("-id",),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("level__gt", 0), ("level__lt", 0.5)),
                        name="replication_level_sane",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("margin__gte", 0)),
                        name="replication_margin_not_negative",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("purpose", "verdict"), _negated=True),
                            ("baseline__isnull", False),
                            _connector="OR",
                        ),
                        name="replication_verdict_has_a_baseline",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("candidates__gte", 1)),
                        name="replication_has_a_candidate",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Proposal",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("target", models.CharField(default="production", max_length=60)),
                (
                    "choice",
                    models.CharField(
                        choices=[
                            ("baseline", "Baseline"),
                            ("adopt", "Adopt"),
                            ("reject", "Reject"),
                            ("continue", "Continue"),
                            ("revert", "Revert"),
                            ("dropped without seeds", "Dropped"),
                        ],
                        max_length=21,
                    ),
                ),
                ("verdict", models.CharField(max_length=9)),
                ("overrides_verdict", models.BooleanField()),
                ("reason", models.TextField()),
                ("state", models.CharField(max_length=64)),
                ("checkpoint", models.BigIntegerField(blank=True, null=True)),
                ("proposed_at", models.DateTimeField()),
                ("signature", models.CharField(max_length=64)),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("confirmed", "Confirmed"),
                            ("withdrawn", "Withdrawn"),
                            ("expired", "Expired"),
                        ],
                        default="pending",
                        max_length=9,
                    ),
                ),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
                ("closed_because", models.TextField(blank=True)),
                (
                    "closed_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="proposals",
                        to="experiments.project",
                    ),
                ),
                (
                    "proposed_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "replication",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="proposals",
                        to="experiments.replication",
                    ),
                ),
            ],
            options={
                "ordering": ("pk",),
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("outcome", "pending")),
                        fields=("replication",),
                        name="proposal_one_pending",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("outcome__in", ["pending", "confirmed", "withdrawn", "expired"])
                        ),
                        name="proposal_outcome_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True),
                        name="proposal_has_a_reason",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Decision",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("target", models.CharField(default="production", max_length=60)),
                ("sequence", models.PositiveIntegerField()),
                (
                    "choice",
                    models.CharField(
                        choices=[
                            ("baseline", "Baseline"),
                            ("adopt", "Adopt"),
                            ("reject", "Reject"),
                            ("continue", "Continue"),
                            ("revert", "Revert"),
                            ("dropped without seeds", "Dropped"),
                        ],
                        max_length=21,
                    ),
                ),
                ("verdict", models.CharField(blank=True, max_length=9)),
                ("overrides_verdict", models.BooleanField(default=False)),
                ("reason", models.TextField()),
                ("evidence", models.TextField(default="{}")),
                ("decided_by_name", models.CharField(max_length=150)),
                ("decided_at", models.DateTimeField()),
                ("previous_hash", models.CharField(max_length=64, unique=True)),
                ("hash", models.CharField(max_length=64, unique=True)),
                (
                    "baseline",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="experiments.configuration",
                    ),
                ),
                (
                    "candidate",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="experiments.configuration",
                    ),
                ),
                (
                    "decided_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "experiment",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="decisions",
                        to="experiments.experiment",
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="decisions",
                        to="experiments.project",
                    ),
                ),
                (
                    "replication",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="decisions",
                        to="experiments.replication",
                    ),
                ),
            ],
            options={
                "ordering": ("project", "-sequence"),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("project", "sequence"), name="decision_sequence_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True),
                        name="decision_has_a_reason",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "choice__in",
                                [
                                    "baseline",
                                    "adopt",
                                    "reject",
                                    "continue",
                                    "revert",
                                    "dropped without seeds",
                                ],
                            )
                        ),
                        name="decision_choice_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("choice__in", ("adopt", "revert", "baseline")), _negated=True
                            ),
                            ("candidate__isnull", False),
                            _connector="OR",
                        ),
                        name="decision_champion_has_a_configuration",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="RunsView",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=100)),
                ("query", models.TextField(blank=True)),
                ("is_default", models.BooleanField(default=False)),
                ("saved_at", models.DateTimeField(auto_now=True)),
                (
                    "owner",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="runs_views",
                        to="experiments.project",
                    ),
                ),
            ],
            options={
                "ordering": ("name",),
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("owner__isnull", True)),
                        fields=("project", "name"),
                        name="runs_view_of_project_once",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("owner__isnull", False)),
                        fields=("project", "owner", "name"),
                        name="runs_view_of_person_once",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("is_default", True)),
                        fields=("project",),
                        name="runs_view_default_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("is_default", False), ("owner__isnull", True), _connector="OR"
                        ),
                        name="runs_view_default_is_the_projects",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="SharedLink",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("prefix", models.CharField(max_length=6)),
                ("digest", models.CharField(max_length=64, unique=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
                (
                    "created_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "decision",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="shared_links",
                        to="experiments.decision",
                    ),
                ),
                (
                    "experiment",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="shared_links",
                        to="experiments.experiment",
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="shared_links",
                        to="experiments.project",
                    ),
                ),
            ],
            options={
                "ordering": ("-pk",),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("decision__isnull", True), ("experiment__isnull", False)),
                            models.Q(("decision__isnull", False), ("experiment__isnull", True)),
                            _connector="OR",
                        ),
                        name="shared_link_shows_one_thing",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Study",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("search", "Search"),
                            ("replication", "Replication"),
                            ("probe", "Probe"),
                            ("free", "Free"),
                        ],
                        max_length=11,
                    ),
                ),
                (
                    "side",
                    models.CharField(
                        blank=True,
                        choices=[("candidate", "Candidate"), ("baseline", "Baseline")],
                        max_length=9,
                    ),
                ),
                ("arm_index", models.PositiveIntegerField(default=0)),
                ("arm", models.TextField(default="{}")),
                ("name", models.CharField(max_length=512)),
                ("directions", models.CharField(max_length=200)),
                ("user_attributes", models.TextField(default="{}")),
                ("system_attributes", models.TextField(default="{}")),
                ("budget", models.PositiveIntegerField(blank=True, null=True)),
                ("next_number", models.PositiveIntegerField(default=0)),
                ("next_row", models.PositiveIntegerField(default=0)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("deleted_at", models.DateTimeField(blank=True, null=True)),
                (
                    "experiment",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="studies",
                        to="experiments.experiment",
                    ),
                ),
                (
                    "probe",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="studies",
                        to="experiments.edgeprobe",
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="studies",
                        to="experiments.project",
                    ),
                ),
                (
                    "replication",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="studies",
                        to="experiments.replication",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("deleted_at__isnull", True)),
                        fields=("name",),
                        name="study_name_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("experiment__isnull", True), ("kind", "free")),
                            models.Q(
                                models.Q(("kind", "free"), _negated=True),
                                ("experiment__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="study_free_or_of_an_experiment",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("kind", "replication"),
                                ("replication__isnull", False),
                                ("side__in", ["candidate", "baseline"]),
                            ),
                            models.Q(
                                models.Q(("kind", "replication"), _negated=True),
                                ("replication__isnull", True),
                                ("side", ""),
                            ),
                            _connector="OR",
                        ),
                        name="study_replication_has_a_side",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("kind", "probe"), ("probe__isnull", False)),
                            models.Q(
                                models.Q(("kind", "probe"), _negated=True), ("probe__isnull", True)
                            ),
                            _connector="OR",
                        ),
                        name="study_probe_is_of_a_probe",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Trial",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                (
                    "state",
                    models.SmallIntegerField(
                        choices=[
                            (0, "Running"),
                            (1, "Complete"),
                            (2, "Pruned"),
                            (3, "Failed"),
                            (4, "Waiting"),
                        ]
                    ),
                ),
                (
                    "origin",
                    models.CharField(
                        choices=[
                            ("sampler", "Sampler"),
                            ("first", "First"),
                            ("manual", "Manual"),
                            ("retry", "Retry"),
                            ("replicate", "Replicate"),
                            ("probe", "Probe"),
                            ("outside", "Outside"),
                        ],
                        default="outside",
                        max_length=9,
                    ),
                ),
                ("parameters", models.TextField(default="{}")),
                ("values", models.TextField(blank=True, null=True)),
                ("value", models.FloatField(blank=True, null=True)),
                ("user_attributes", models.TextField(default="{}")),
                ("system_attributes", models.TextField(default="{}")),
                ("reports", models.BinaryField(blank=True, null=True)),
                ("row", models.PositiveIntegerField(blank=True, null=True)),
                ("pair", models.PositiveIntegerField(blank=True, null=True)),
                ("train_seed", models.BigIntegerField(blank=True, null=True)),
                ("split_seed", models.BigIntegerField(blank=True, null=True)),
                ("search_seed", models.BigIntegerField(blank=True, null=True)),
                ("attempt", models.PositiveSmallIntegerField(default=0)),
                ("device", models.CharField(blank=True, max_length=400)),
                ("heartbeat_at", models.DateTimeField(blank=True, null=True)),
                ("control", models.CharField(blank=True, max_length=6)),
                ("queued_at", models.DateTimeField(blank=True, null=True)),
                ("started_at", models.DateTimeField(blank=True, null=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("latest_value", models.FloatField(blank=True, null=True)),
                ("latest_step", experiments.models.step_field.StepField(blank=True, null=True)),
                ("best_step", experiments.models.step_field.StepField(blank=True, null=True)),
                ("evaluations", models.PositiveIntegerField(blank=True, null=True)),
                ("read_split_seed", models.BooleanField(blank=True, null=True)),
                ("stopped_early", models.BooleanField(default=False)),
                ("seconds", models.FloatField(blank=True, null=True)),
                ("peak_memory_mb", models.FloatField(blank=True, null=True)),
                (
                    "failure_kind",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "None"),
                            ("exception", "Exception"),
                            ("infeasible", "Infeasible"),
                            ("lost", "Lost"),
                            ("cancelled", "Cancelled"),
                        ],
                        max_length=10,
                    ),
                ),
                ("failure_reason", models.TextField(blank=True)),
                ("traceback", models.TextField(blank=True)),
                ("log_tail", models.TextField(blank=True)),
                ("distributions", models.TextField(default="{}")),
                ("earlier_gpu_seconds", models.FloatField(db_default=0.0, default=0.0)),
                ("resumed", models.TextField(db_default="{}", default="{}")),
                ("losses", models.PositiveSmallIntegerField(db_default=0, default=0)),
                ("findings_due", models.BooleanField(db_default=False, default=False)),
                ("run_id", models.UUIDField(blank=True, null=True, unique=True)),
                (
                    "run_name",
                    models.CharField(blank=True, db_default="", default="", max_length=500),
                ),
                ("archived_at", models.DateTimeField(blank=True, null=True)),
                ("metrics_due", models.BooleanField(db_default=False, default=False)),
                (
                    "configuration",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="trials",
                        to="experiments.configuration",
                    ),
                ),
                (
                    "environment",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="trials",
                        to="experiments.environment",
                    ),
                ),
                (
                    "parent",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="children",
                        to="experiments.trial",
                    ),
                ),
                (
                    "retry_of",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="retries",
                        to="experiments.trial",
                    ),
                ),
                (
                    "study",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="trials",
                        to="experiments.study",
                    ),
                ),
                (
                    "worker",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="trials",
                        to="experiments.worker",
                    ),
                ),
            ],
            options={
                "ordering": ("study", "number"),
                "indexes": [
                    models.Index(fields=["study", "state", "number"], name="trial_by_state"),
                    models.Index(
                        condition=models.Q(("state", 0)),
                        fields=["heartbeat_at"],
                        name="trial_running_heartbeat",
                    ),
                    models.Index(
                        condition=models.Q(("findings_due", True)),
                        fields=["finished_at"],
                        name="trial_findings_due",
                    ),
                    models.Index(
                        condition=models.Q(("metrics_due", True)),
                        fields=["id"],
                        name="trial_metrics_due",
                    ),
                    models.Index(
                        fields=["study", "value", "state", "number", "archived_at"],
                        name="trial_by_score",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("study", "number"), name="trial_number_once"),
                    models.UniqueConstraint(
                        condition=models.Q(
                            ("row__isnull", False), models.Q(("origin", "retry"), _negated=True)
                        ),
                        fields=("study", "row"),
                        name="trial_row_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("state__in", [0, 1, 2, 3, 4])),
                        name="trial_state_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", 1), _negated=True),
                            ("values__isnull", False),
                            _connector="OR",
                        ),
                        name="trial_complete_has_values",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="LoggedModel",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("key", models.CharField(max_length=34, unique=True)),
                ("name", models.CharField(max_length=500)),
                ("model_type", models.CharField(blank=True, max_length=500)),
                ("status", models.CharField(max_length=40)),
                ("step", models.BigIntegerField(default=0)),
                ("params", models.TextField(default="{}")),
                ("tags", models.TextField(default="{}")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("deleted_at", models.DateTimeField(blank=True, null=True)),
                (
                    "trial",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="logged_models",
                        to="experiments.trial",
                    ),
                ),
            ],
            options={
                "ordering": ("pk",),
            },
        ),
        migrations.CreateModel(
            name="TestOpening",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("opened_at", models.DateTimeField(auto_now_add=True)),
                (
                    "opened_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "replication",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="test_openings",
                        to="experiments.replication",
                    ),
                ),
            ],
            options={
                "ordering": ("opened_at",),
            },
        ),
        migrations.CreateModel(
            name="TrialReading",
            fields=[
                (
                    "trial",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="curve_reading",
                        serialize=False,
                        to="experiments.trial",
                    ),
                ),
                ("document", models.TextField()),
            ],
        ),
        migrations.CreateModel(
            name="SeriesBatch",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("attempt", models.PositiveSmallIntegerField()),
                ("batch", models.PositiveIntegerField()),
                ("points", models.PositiveIntegerField()),
                ("first_step", models.BigIntegerField()),
                ("last_step", models.BigIntegerField()),
                ("payload", models.BinaryField()),
                ("fenced", models.BooleanField(default=False)),
                ("written_at", models.DateTimeField(auto_now_add=True)),
                ("joined", models.PositiveIntegerField(default=1)),
                (
                    "trial",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="series",
                        to="experiments.trial",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("trial", "attempt", "batch"), name="series_batch_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="SealedScore",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=200)),
                ("value", models.FloatField(null=True)),
                (
                    "trial",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="sealed_scores",
                        to="experiments.trial",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("trial", "name"), name="sealed_score_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="RunDataset",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=500)),
                ("digest", models.CharField(max_length=36)),
                ("source_type", models.CharField(blank=True, max_length=200)),
                ("source", models.TextField(blank=True)),
                ("schema", models.TextField(blank=True)),
                ("profile", models.TextField(blank=True)),
                ("context", models.CharField(blank=True, max_length=500)),
                ("tags", models.TextField(default="{}")),
                (
                    "trial",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="datasets",
                        to="experiments.trial",
                    ),
                ),
            ],
            options={
                "ordering": ("pk",),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("trial", "name", "digest"), name="run_dataset_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Report",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("step", models.BigIntegerField()),
                ("value", models.FloatField(null=True)),
                (
                    "trial",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="open_reports",
                        to="experiments.trial",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("trial", "step"), name="report_step_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="ModelVersion",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("version", models.PositiveIntegerField()),
                ("folder", models.CharField(max_length=500)),
                ("source", models.TextField()),
                ("registered_by", models.CharField(max_length=150)),
                ("description", models.TextField(blank=True)),
                ("tags", models.TextField(default="{}")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("deleted_at", models.DateTimeField(blank=True, null=True)),
                (
                    "decision",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="model_version",
                        to="experiments.decision",
                    ),
                ),
                (
                    "logged_model",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="versions",
                        to="experiments.loggedmodel",
                    ),
                ),
                (
                    "model",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="versions",
                        to="experiments.registeredmodel",
                    ),
                ),
                (
                    "trial",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="model_versions",
                        to="experiments.trial",
                    ),
                ),
            ],
            options={
                "ordering": ("pk",),
                "constraints": [
                    models.UniqueConstraint(fields=("model", "version"), name="model_version_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="LatestMetric",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=250)),
                ("value", models.FloatField(null=True)),
                ("step", models.BigIntegerField()),
                ("time_ms", models.BigIntegerField()),
                ("at_best", models.FloatField(null=True)),
                ("highest", models.FloatField(null=True)),
                ("lowest", models.FloatField(null=True)),
                (
                    "trial",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="latest_metrics",
                        to="experiments.trial",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("trial", "name"), name="latest_metric_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="Finding",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("rule", models.CharField(max_length=60)),
                ("subject", models.CharField(blank=True, max_length=260)),
                ("version", models.PositiveSmallIntegerField()),
                ("status", models.CharField(max_length=13)),
                ("severity", models.CharField(max_length=7)),
                ("title", models.CharField(max_length=600)),
                ("detail", models.TextField(blank=True)),
                ("meaning", models.TextField(blank=True)),
                ("advice", models.TextField(blank=True)),
                ("section", models.CharField(blank=True, max_length=200)),
                ("action", models.CharField(blank=True, max_length=40)),
                ("evidence", models.TextField(default="{}")),
                ("found_at", models.DateTimeField(auto_now=True)),
                ("dismissed_at", models.DateTimeField(blank=True, null=True)),
                ("dismiss_reason", models.TextField(blank=True)),
                (
                    "dismissed_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "experiment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="findings",
                        to="experiments.experiment",
                    ),
                ),
                (
                    "trial",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="findings",
                        to="experiments.trial",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["experiment", "status"], name="finding_by_status")
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("trial__isnull", True)),
                        fields=("experiment", "rule", "subject"),
                        name="finding_of_experiment_once",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("trial__isnull", False)),
                        fields=("trial", "rule", "subject"),
                        name="finding_of_trial_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("dismissed_at__isnull", True),
                            models.Q(("dismiss_reason", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="finding_dismissed_with_a_reason",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Artifact",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("kind", models.CharField(max_length=20)),
                ("name", models.CharField(max_length=300)),
                ("path", models.CharField(max_length=1000)),
                ("size", models.BigIntegerField()),
                ("sha256", models.CharField(max_length=64)),
                ("step", experiments.models.step_field.StepField(blank=True, null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("attempt", models.PositiveIntegerField(blank=True, null=True)),
                ("value", models.FloatField(blank=True, null=True)),
                (
                    "trial",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="artifacts",
                        to="experiments.trial",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("step__isnull", True)),
                        fields=("trial", "kind", "name"),
                        name="artifact_once",
                    ),
                    models.UniqueConstraint(
                        fields=("trial", "kind", "name", "step"), name="artifact_once_a_step"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Webhook",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("json", "Json"), ("slack", "Slack")],
                        default="json",
                        max_length=5,
                    ),
                ),
                ("address", models.CharField(max_length=2000)),
                ("events", models.JSONField(default=list)),
                ("nonce", models.CharField(max_length=64)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "created_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="webhooks",
                        to="experiments.project",
                    ),
                ),
            ],
            options={
                "ordering": ("pk",),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("kind__in", ["json", "slack"])),
                        name="webhook_kind_known",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Delivery",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[("waiting", "Waiting"), ("sent", "Sent"), ("failed", "Failed")],
                        default="waiting",
                        max_length=7,
                    ),
                ),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("tries_left", models.PositiveSmallIntegerField()),
                ("due_at", models.DateTimeField()),
                ("tried_at", models.DateTimeField(blank=True, null=True)),
                ("status", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("answer", models.CharField(blank=True, max_length=500)),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "event",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="deliveries",
                        to="experiments.event",
                    ),
                ),
                (
                    "webhook",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="deliveries",
                        to="experiments.webhook",
                    ),
                ),
            ],
            options={
                "ordering": ("-pk",),
                "indexes": [
                    models.Index(
                        condition=models.Q(("state", "waiting")),
                        fields=["due_at"],
                        name="delivery_due",
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("state__in", ["waiting", "sent", "failed"])),
                        name="delivery_state_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("user__isnull", True), ("webhook__isnull", False)),
                            models.Q(("user__isnull", False), ("webhook__isnull", True)),
                            _connector="OR",
                        ),
                        name="delivery_has_one_receiver",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ObjectiveCheck",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("running", "Running"),
                            ("done", "Done"),
                            ("failed", "Failed"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="waiting",
                        max_length=9,
                    ),
                ),
                ("objective", models.CharField(max_length=300)),
                ("queue", models.CharField(max_length=100)),
                ("gpus", models.PositiveSmallIntegerField(default=0)),
                ("document", models.TextField(blank=True)),
                ("heartbeat_at", models.DateTimeField(blank=True, null=True)),
                ("is_to_end", models.BooleanField(default=False)),
                ("answer", models.TextField(default="{}")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                (
                    "asked_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="objective_checks",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="objective_checks",
                        to="experiments.project",
                    ),
                ),
                (
                    "worker",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="experiments.worker",
                    ),
                ),
            ],
            options={
                "ordering": ("-created_at", "-pk"),
                "indexes": [
                    models.Index(
                        condition=models.Q(("state", "waiting")),
                        fields=["queue"],
                        name="objective_check_waiting",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="BatchSizeProbe",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("objective", models.CharField(max_length=300)),
                ("parameters", models.TextField(default="{}")),
                ("device", models.CharField(max_length=400)),
                ("host", models.CharField(max_length=200)),
                ("rows", models.TextField(default="[]")),
                ("ended", models.TextField(blank=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("gpus", models.PositiveSmallIntegerField(db_default=0, default=0)),
                ("heartbeat_at", models.DateTimeField(blank=True, null=True)),
                ("is_to_end", models.BooleanField(db_default=False, default=False)),
                ("options", models.TextField(db_default="{}", default="{}")),
                ("queue", models.CharField(blank=True, db_default="", max_length=100)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("running", "Running"),
                            ("done", "Done"),
                            ("failed", "Failed"),
                            ("cancelled", "Cancelled"),
                        ],
                        db_default="done",
                        default="done",
                        max_length=9,
                    ),
                ),
                (
                    "asked_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "experiment",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="batch_size_probes",
                        to="experiments.experiment",
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="batch_size_probes",
                        to="experiments.project",
                    ),
                ),
                (
                    "worker",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="experiments.worker",
                    ),
                ),
            ],
            options={
                "ordering": ("-created_at", "-pk"),
                "indexes": [
                    models.Index(
                        condition=models.Q(("state", "waiting")),
                        fields=["queue"],
                        name="batch_size_probe_waiting",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state__in", ("waiting", "running"))),
                        fields=("experiment",),
                        name="batch_size_probe_once_at_a_time",
                    )
                ],
            },
        ),
        migrations.AddField(
            model_name="experiment",
            name="repeat_of",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="searches",
                to="experiments.replication",
            ),
        ),
        migrations.AddField(
            model_name="replication",
            name="baseline_trial",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="experiments.trial",
            ),
        ),
        migrations.AddField(
            model_name="replication",
            name="candidate_trial",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="experiments.trial",
            ),
        ),
        migrations.AddField(
            model_name="experiment",
            name="best_trial",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="experiments.trial",
            ),
        ),
        migrations.RunPython(guards.protect, guards.unprotect),
        migrations.RunPython(incarnation.create, incarnation.drop),
    ]
