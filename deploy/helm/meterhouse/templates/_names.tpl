{{- define "meterhouse.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Short enough for "-aggregator" behind it to fit into a label. */}}
{{- define "meterhouse.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "meterhouse.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "meterhouse.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "meterhouse.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "meterhouse.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "meterhouse.image" -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}

{{/* What never changes over the life of a Deployment. Takes (list context component). */}}
{{- define "meterhouse.selector" -}}
{{- $ := index . 0 -}}
app.kubernetes.io/name: {{ include "meterhouse.name" $ }}
app.kubernetes.io/instance: {{ $.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "meterhouse.labels" -}}
{{- $ := index . 0 -}}
{{ include "meterhouse.selector" . }}
app.kubernetes.io/version: {{ $.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $.Release.Service }}
app.kubernetes.io/part-of: meterhouse
helm.sh/chart: {{ printf "%s-%s" $.Chart.Name $.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* "true" or nothing: whether something is wanted whose kind may be unknown to the cluster.
     Takes (list context wish "group/version/Kind"); the wish is true, false or "auto". */}}
{{- define "meterhouse.wanted" -}}
{{- $ := index . 0 -}}
{{- $wish := index . 1 | toString -}}
{{- if or (eq $wish "true") (and (eq $wish "auto") ($.Capabilities.APIVersions.Has (index . 2))) -}}true{{- end -}}
{{- end -}}
