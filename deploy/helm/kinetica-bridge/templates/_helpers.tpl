{{- define "kinetica-bridge.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Short enough for a label; the release alone where its name says what it is. */}}
{{- define "kinetica-bridge.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "kinetica-bridge.selectorLabels" -}}
app.kubernetes.io/name: {{ include "kinetica-bridge.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "kinetica-bridge.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "kinetica-bridge.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "kinetica-bridge.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "kinetica-bridge.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* The port of admin.listen; with a ConfigMap of yours, that of the Service. */}}
{{- define "kinetica-bridge.port" -}}
{{- if .Values.existingConfigMap }}
{{- .Values.service.port | int }}
{{- else }}
{{- splitList ":" (dig "admin" "listen" "" .Values.config) | last | int }}
{{- end }}
{{- end }}

{{/* What a bridge that runs does not take over: docs/configuration.md, Reloading. */}}
{{- define "kinetica-bridge.fixed" -}}
{{- $journal := default dict .Values.config.journal }}
{{- $admin := default dict .Values.config.admin }}
instance: {{ .Values.config.instance }}
kinetica: {{ omit .Values.config.kinetica "username" "password" "password_file" "token" "token_file" "tls" | toJson }}
journal: {{ $journal.path }}
admin: {{ $admin.listen }}
{{- end }}

{{/* "yes" where config has the admin endpoint speak https. */}}
{{- define "kinetica-bridge.https" -}}
{{- if and (not .Values.existingConfigMap) (dig "admin" "tls" "" .Values.config) }}yes{{ end }}
{{- end }}

{{- define "kinetica-bridge.probe" -}}
{{- $probe := deepCopy (index . 1) }}
{{- if and $probe.httpGet (include "kinetica-bridge.https" (index . 0)) }}
{{- $_ := set $probe.httpGet "scheme" (default "HTTPS" $probe.httpGet.scheme) }}
{{- end }}
{{- toYaml $probe }}
{{- end }}

{{/* An OpenShift gives each namespace users and groups of its own, and refuses others. */}}
{{- define "kinetica-bridge.podSecurityContext" -}}
{{- if .Capabilities.APIVersions.Has "security.openshift.io/v1" }}
{{- omit .Values.podSecurityContext "runAsUser" "runAsGroup" "fsGroup" | toYaml }}
{{- else }}
{{- toYaml .Values.podSecurityContext }}
{{- end }}
{{- end }}

{{/* What would only be found when the pod does not start, or is killed as it drains. */}}
{{- define "kinetica-bridge.validate" -}}
{{- if not .Values.existingConfigMap }}
{{- range list "kinetica" "tables" "sinks" }}
{{- if not (get $.Values.config .) }}
{{- fail (printf "config.%s is not given: a bridge needs to know where it reads, what, and where it writes" .) }}
{{- end }}
{{- end }}
{{- $listen := dig "admin" "listen" "" .Values.config }}
{{- if or (hasPrefix "127." $listen) (hasPrefix "localhost:" $listen) (hasPrefix "[::1]:" $listen) }}
{{- fail (printf "config.admin.listen is %s: no probe reaches it there; write 0.0.0.0:9464 or [::]:9464" $listen) }}
{{- end }}
{{- if eq (include "kinetica-bridge.port" . | int) 0 }}
{{- fail (printf "config.admin.listen is %q: wanted an address with a port, such as 0.0.0.0:9464" $listen) }}
{{- end }}
{{- $grace := dig "shutdown" "grace" "8s" .Values.config | toString | trim }}
{{- if regexMatch "^[0-9.]+ *(s|m|h)?$" $grace }}
{{- $unit := ternary 60.0 (ternary 3600.0 1.0 (hasSuffix "h" $grace)) (hasSuffix "m" $grace) }}
{{- $seconds := mulf (regexFind "^[0-9.]+" $grace | float64) $unit }}
{{- if le (float64 .Values.terminationGracePeriodSeconds) $seconds }}
{{- fail (printf "terminationGracePeriodSeconds is %v: the bridge would be killed within config.shutdown.grace, %s" .Values.terminationGracePeriodSeconds $grace) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
