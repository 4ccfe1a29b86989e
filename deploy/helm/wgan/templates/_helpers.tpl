{{- define "wgan.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "wgan.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "wgan.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "wgan.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* The Secret with the tokens: one of the user's, or the chart's own. Serving without a token must be said. */}}
{{- define "wgan.secret" -}}
{{- with .Values.auth -}}
{{- if .disabled -}}
{{- if or .existingSecret .token -}}
{{- fail "auth.disabled leaves the token out: set it or a token, not both" -}}
{{- end -}}
{{- else if and .existingSecret .token -}}
{{- fail "auth.existingSecret and auth.token exclude each other: set one of them" -}}
{{- else if .existingSecret -}}
{{- .existingSecret -}}
{{- else if .token -}}
{{- include "wgan.name" $ -}}
{{- else -}}
{{- fail "who may ask? Set auth.existingSecret or auth.token, or auth.disabled=true to serve without a token" -}}
{{- end -}}
{{- end -}}
{{- end -}}
